select query_id
  from system.processes
  where query_kind = 'Insert' and elapsed >= 60 and position(query, 'analytics_internal') > 0;

select 1
  from `analytics_internal`.`connected_accounts` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`connected_accounts` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`contact_channels` group by `project_id`, `branch_id`, `tenancy_id`, `id`, `user_id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`contact_channels` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`email_outboxes` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`email_outboxes` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`notification_preferences` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`notification_preferences` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`project_permissions` group by `project_id`, `branch_id`, `tenancy_id`, `user_id`, `permission_id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`project_permissions` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`refresh_tokens` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`refresh_tokens` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`session_replays` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`session_replays` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`team_invitations` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`team_invitations` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`team_member_profiles` group by `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`team_member_profiles` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`team_permissions` group by `project_id`, `branch_id`, `tenancy_id`, `team_id`, `user_id`, `permission_id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`team_permissions` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`teams` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`teams` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

select 1
  from `analytics_internal`.`users` group by `project_id`, `branch_id`, `tenancy_id`, `id` having countIf(sync_is_deleted = 0) > 0 and minIf(sync_sequence_id, sync_is_deleted = 0) < maxIf(sync_sequence_id, sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC')) limit 1 settings final = 0, max_bytes_before_external_group_by = 536870912;

alter table `analytics_internal`.`users` delete
  where sync_is_deleted = 1 and sync_created_at < toDateTime64('2026-01-01 00:00:00.000', 3, 'UTC') settings mutations_sync = 2;

