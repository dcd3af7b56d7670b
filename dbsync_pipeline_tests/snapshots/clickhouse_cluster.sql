create database if not exists `nothing_there_yet_internal` on cluster `all-of-it`;

create database if not exists `nothing_there_yet` on cluster `all-of-it`;

create table if not exists `nothing_there_yet_internal`.`sync_checkpoint` on cluster `all-of-it` (mapping_id LowCardinality(String), tenancy_id UUID, epoch UInt32, sequence_id UInt64, recorded_at DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sequence_id)
  order by (mapping_id, tenancy_id, epoch);

create or replace view `nothing_there_yet`.`sync_progress` on cluster `all-of-it` as select newest.mapping_id as mapping_id, newest.tenancy_id as tenancy_id, newest.point.2 as sequence_id, newest.since as complete_since
  from (select mapping_id, tenancy_id, max((epoch, sequence_id)) as point, argMax(recorded_at, (epoch, sequence_id)) as since
  from `nothing_there_yet_internal`.`sync_checkpoint` group by mapping_id, tenancy_id) as newest;

create table if not exists `nothing_there_yet_internal`.`connected_accounts` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `user_id` UUID, `provider` String, `provider_account_id` String comment 'The user\'s id at that provider.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Accounts at other services that users signed in with or connected;
one not bound to a user yet is left out.';

create or replace view `nothing_there_yet`.`connected_accounts` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `provider`, `provider_account_id`, `created_at`
  from `nothing_there_yet_internal`.`connected_accounts` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`connected_accounts_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `provider`, `provider_account_id`, `created_at`
  from `nothing_there_yet_internal`.`connected_accounts` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`contact_channels` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `user_id` UUID, `type` LowCardinality(String) comment 'Kind of channel;
EMAIL is the only one so far.', `value` String comment 'The address.', `is_primary` Bool comment 'The source holds TRUE or NULL, so that a unique key allows one primary channel per type.', `is_verified` Bool, `used_for_auth` Bool comment 'Whether signing in with this address is allowed.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`) comment 'The addresses at which users can be reached.';

create or replace view `nothing_there_yet`.`contact_channels` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `type`, `value`, `is_primary`, `is_verified`, `used_for_auth`, `created_at`
  from `nothing_there_yet_internal`.`contact_channels` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`contact_channels_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `type`, `value`, `is_primary`, `is_verified`, `used_for_auth`, `created_at`
  from `nothing_there_yet_internal`.`contact_channels` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`email_outboxes` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `status` LowCardinality(String) comment 'How far the e-mail got, in fifteen steps. The source reports a bounced or delayed one as sending.', `simple_status` LowCardinality(String) comment 'in-progress, error or ok.', `created_with` LowCardinality(String) comment 'draft or programmatic-call.', `email_draft_id` Nullable(String), `email_programmatic_call_template_id` Nullable(String), `theme_id` Nullable(String), `is_high_priority` Bool, `is_transactional` Nullable(Bool), `subject` Nullable(String), `notification_category_id` Nullable(String), `started_rendering_at` Nullable(DateTime64(3, 'UTC')), `rendered_at` Nullable(DateTime64(3, 'UTC')), `render_error` Nullable(String) comment 'What may be shown to the tenancy;
internal messages stay in the source.', `scheduled_at` DateTime64(3, 'UTC'), `created_at` DateTime64(3, 'UTC'), `updated_at` DateTime64(3, 'UTC'), `started_sending_at` Nullable(DateTime64(3, 'UTC')), `server_error` Nullable(String) comment 'What may be shown to the tenancy;
internal messages stay in the source.', `delivered_at` Nullable(DateTime64(3, 'UTC')), `opened_at` Nullable(DateTime64(3, 'UTC')), `clicked_at` Nullable(DateTime64(3, 'UTC')), `unsubscribed_at` Nullable(DateTime64(3, 'UTC')), `marked_as_spam_at` Nullable(DateTime64(3, 'UTC')), `bounced_at` Nullable(DateTime64(3, 'UTC')), `delivery_delayed_at` Nullable(DateTime64(3, 'UTC')), `can_have_delivery_info` Nullable(Bool) comment 'Whether the mail service reports deliveries;
NULL until the e-mail is sent.', `skipped_reason` LowCardinality(Nullable(String)) comment 'Why it was never sent.', `skipped_details` Nullable(String), `send_retries` Int32, `is_paused` Bool, `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'E-mails of the application and how far each got;
never the recipients, nor what was written. ClickHouse has labels in lower-kebab-case and short names, Postgres has the source\'s own.';

create or replace view `nothing_there_yet`.`email_outboxes` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `status`, `simple_status`, `created_with`, `email_draft_id`, `email_programmatic_call_template_id`, `theme_id`, `is_high_priority`, `is_transactional`, `subject`, `notification_category_id`, `started_rendering_at`, `rendered_at`, `render_error`, `scheduled_at`, `created_at`, `updated_at`, `started_sending_at`, `server_error`, `delivered_at`, `opened_at`, `clicked_at`, `unsubscribed_at`, `marked_as_spam_at`, `bounced_at`, `delivery_delayed_at`, `can_have_delivery_info`, `skipped_reason`, `skipped_details`, `send_retries`, `is_paused`
  from `nothing_there_yet_internal`.`email_outboxes` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`email_outboxes_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `status`, `simple_status`, `created_with`, `email_draft_id`, `email_programmatic_call_template_id`, `theme_id`, `is_high_priority`, `is_transactional`, `subject`, `notification_category_id`, `started_rendering_at`, `rendered_at`, `render_error`, `scheduled_at`, `created_at`, `updated_at`, `started_sending_at`, `server_error`, `delivered_at`, `opened_at`, `clicked_at`, `unsubscribed_at`, `marked_as_spam_at`, `bounced_at`, `delivery_delayed_at`, `can_have_delivery_info`, `skipped_reason`, `skipped_details`, `send_retries`, `is_paused`
  from `nothing_there_yet_internal`.`email_outboxes` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`notification_preferences` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `user_id` UUID, `notification_category_id` String comment 'Text, as email_outboxes has it, so that the two compare.', `enabled` Bool, `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Which kinds of notification a user wants.';

create or replace view `nothing_there_yet`.`notification_preferences` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `notification_category_id`, `enabled`
  from `nothing_there_yet_internal`.`notification_preferences` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`notification_preferences_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `notification_category_id`, `enabled`
  from `nothing_there_yet_internal`.`notification_preferences` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`project_permissions` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `user_id` UUID, `permission_id` String comment 'Its name;
renaming it changes the key.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `user_id`, `permission_id`) comment 'Permissions granted directly to a user;
those that follow
  from others are not expanded.';

create or replace view `nothing_there_yet`.`project_permissions` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `user_id`, `permission_id`, `created_at`
  from `nothing_there_yet_internal`.`project_permissions` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`project_permissions_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `user_id`, `permission_id`, `created_at`
  from `nothing_there_yet_internal`.`project_permissions` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`refresh_tokens` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `user_id` UUID, `created_at` DateTime64(3, 'UTC'), `last_used_at` DateTime64(3, 'UTC') comment 'Moves with every use of the session.', `is_impersonation` Bool comment 'Whether someone acts as the user.', `expires_at` Nullable(DateTime64(3, 'UTC')) comment 'NULL means never.', `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Sessions, expired ones included. The token itself is a secret and stays in the source.';

create or replace view `nothing_there_yet`.`refresh_tokens` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `created_at`, `last_used_at`, `is_impersonation`, `expires_at`
  from `nothing_there_yet_internal`.`refresh_tokens` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`refresh_tokens_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `created_at`, `last_used_at`, `is_impersonation`, `expires_at`
  from `nothing_there_yet_internal`.`refresh_tokens` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`session_replays` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `user_id` UUID, `refresh_token_id` UUID comment 'The session;
it may be gone by now.', `started_at` DateTime64(3, 'UTC') comment 'Earliest event;
a late upload can move it back.', `last_event_at` DateTime64(3, 'UTC'), `created_at` DateTime64(3, 'UTC'), `chunk_count` UInt64 comment 'Uploads received.', `event_count` UInt64 comment 'Events in all uploads.', `byte_length` UInt64 comment 'Bytes of all uploads.', `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Recorded sessions and how much each holds;
never
  where the recording is stored.';

create or replace view `nothing_there_yet`.`session_replays` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `refresh_token_id`, `started_at`, `last_event_at`, `created_at`, `chunk_count`, `event_count`, `byte_length`
  from `nothing_there_yet_internal`.`session_replays` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`session_replays_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id`, `refresh_token_id`, `started_at`, `last_event_at`, `created_at`, `chunk_count`, `event_count`, `byte_length`
  from `nothing_there_yet_internal`.`session_replays` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`team_invitations` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `team_id` UUID, `team_display_name` String, `recipient_email` String comment 'Whom the invitation was sent to;
empty when it does not say.', `expires_at_millis` Int64 comment 'Milliseconds since 1970 (UTC);
an expiry outside the years 1900 to 2299, or never, is moved into them.', `used_at_millis` Nullable(Int64) comment 'When it was accepted, like expires_at_millis;
NULL while it is open.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Invitations to a team, open, accepted and expired, for as long as the team exists.';

create or replace view `nothing_there_yet`.`team_invitations` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `team_id`, `team_display_name`, `recipient_email`, `expires_at_millis`, `used_at_millis`, `created_at`
  from `nothing_there_yet_internal`.`team_invitations` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`team_invitations_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `team_id`, `team_display_name`, `recipient_email`, `expires_at_millis`, `used_at_millis`, `created_at`
  from `nothing_there_yet_internal`.`team_invitations` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`team_member_profiles` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `team_id` UUID, `user_id` UUID, `display_name` Nullable(String) comment 'The member\'s name in this team;
NULL when the user\'s own name counts.', `profile_image_url` Nullable(String) comment 'The member\'s image in this team;
NULL when the user\'s own image counts.', `user` Nullable(String) comment 'The user as a JSON object. last_active_at_millis is as of the last change of any other column, and is moved into the years 1900 to 2299, as every timestamp is.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`) comment 'Memberships, each with the member\'s team profile and the user behind it.';

create or replace view `nothing_there_yet`.`team_member_profiles` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `display_name`, `profile_image_url`, `user`, `created_at`
  from `nothing_there_yet_internal`.`team_member_profiles` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`team_member_profiles_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `display_name`, `profile_image_url`, `user`, `created_at`
  from `nothing_there_yet_internal`.`team_member_profiles` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`team_permissions` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `team_id` UUID, `user_id` UUID, `permission_id` String comment 'Its name;
renaming it changes the key.', `created_at` DateTime64(3, 'UTC'), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `permission_id`) comment 'Permissions granted directly to a member of a team;
those that follow
  from others are not expanded.';

create or replace view `nothing_there_yet`.`team_permissions` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `permission_id`, `created_at`
  from `nothing_there_yet_internal`.`team_permissions` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`team_permissions_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `permission_id`, `created_at`
  from `nothing_there_yet_internal`.`team_permissions` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`teams` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `display_name` String, `profile_image_url` Nullable(String), `created_at` DateTime64(3, 'UTC'), `client_metadata` String, `client_read_only_metadata` String, `server_metadata` String, `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'Teams that users belong to.';

create or replace view `nothing_there_yet`.`teams` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `display_name`, `profile_image_url`, `created_at`, `client_metadata`, `client_read_only_metadata`, `server_metadata`
  from `nothing_there_yet_internal`.`teams` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`teams_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `display_name`, `profile_image_url`, `created_at`, `client_metadata`, `client_read_only_metadata`, `server_metadata`
  from `nothing_there_yet_internal`.`teams` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

create table if not exists `nothing_there_yet_internal`.`users` on cluster `all-of-it` (`project_id` String comment 'The project that owns the row.', `branch_id` String comment 'The branch of the project;
`main` unless it has others.', `tenancy_id` UUID, `id` UUID, `display_name` Nullable(String), `profile_image_url` Nullable(String), `primary_email` Nullable(String) comment 'Address of the primary e-mail channel.', `primary_email_verified` Bool comment 'Whether that address was verified;
false when there is none.', `signed_up_at` DateTime64(3, 'UTC') comment 'Moves once, when an anonymous user becomes a known one.', `client_metadata` String, `client_read_only_metadata` String, `server_metadata` String, `is_anonymous` Bool, `restricted_by_admin` Bool, `restricted_by_admin_reason` Nullable(String), `restricted_by_admin_private_details` Nullable(String), `sync_sequence_id` UInt64, `sync_is_deleted` UInt8, `sync_created_at` DateTime64(3, 'UTC') default now64(3)) engine = ReplicatedReplacingMergeTree(sync_sequence_id, sync_is_deleted)
  order by (`project_id`, `branch_id`, `tenancy_id`, `id`) comment 'End users, anonymous ones included, each with the primary e-mail address.';

create or replace view `nothing_there_yet`.`users` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `display_name`, `profile_image_url`, `primary_email`, `primary_email_verified`, `signed_up_at`, `client_metadata`, `client_read_only_metadata`, `server_metadata`, `is_anonymous`, `restricted_by_admin`, `restricted_by_admin_reason`, `restricted_by_admin_private_details`
  from `nothing_there_yet_internal`.`users` final
  where sync_is_deleted = 0;

create or replace view `nothing_there_yet`.`users_of` on cluster `all-of-it` as select `project_id`, `branch_id`, `tenancy_id`, `id`, `display_name`, `profile_image_url`, `primary_email`, `primary_email_verified`, `signed_up_at`, `client_metadata`, `client_read_only_metadata`, `server_metadata`, `is_anonymous`, `restricted_by_admin`, `restricted_by_admin_reason`, `restricted_by_admin_private_details`
  from `nothing_there_yet_internal`.`users` final
  where sync_is_deleted = 0 and tenancy_id = {tenancy:UUID};

