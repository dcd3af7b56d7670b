update "dbsync"."sync_checkpoint" as c set version = m.version, epoch = m.epoch, sequence_id = m.sequence_id, recorded_at = clock_timestamp()
  from json_to_recordset(%s::json) as m (tenancy_id uuid, mapping_id text, version text, epoch integer, sequence_id bigint, found_version text, found_epoch integer, found_sequence_id bigint)
  where (c.tenancy_id, c.mapping_id, c.version, c.epoch, c.sequence_id) = (m.tenancy_id, m.mapping_id, m.found_version, m.found_epoch, m.found_sequence_id);

select (select count(*)
  from (values ('connected_accounts', '4b389786b9005085'), ('contact_channels', '0b9e995bbf24e6be')) as wanted (object_id, fingerprint)
  join (select object_id, fingerprint, columns <@ array(select attname::text
  from pg_attribute
  where attrelid = there.id and attnum > 0 and not attisdropped) and exists (select
  from pg_index
  where indrelid = there.id and indisprimary) as whole
  from "dbsync"."sync_installed"
  cross join to_regclass(quote_ident('dbsync') || '.' || quote_ident(object_id)) as there (id)
  where there.id is not null) as found using (object_id, fingerprint)
  join "dbsync"."sync_checkpoint" as c on c.tenancy_id = %s and c.mapping_id = wanted.object_id
  where found.whole and c.version <> '') = 2;

