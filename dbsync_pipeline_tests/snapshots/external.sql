update "dbsync"."sync_checkpoint" as c set version = m.version, epoch = m.epoch, sequence_id = m.sequence_id, recorded_at = clock_timestamp()
  from unnest(%(tenancies)s::uuid[], %(mappings)s::text[], %(versions)s::text[], %(epochs)s::integer[], %(sequences)s::bigint[], %(found_versions)s::text[], %(found_epochs)s::integer[], %(found_sequences)s::bigint[]) as m (tenancy_id, mapping_id, version, epoch, sequence_id, found_version, found_epoch, found_sequence_id)
  where (c.tenancy_id, c.mapping_id, c.version, c.epoch, c.sequence_id) = (m.tenancy_id, m.mapping_id, m.found_version, m.found_epoch, m.found_sequence_id);

select count(*)
  from unnest(%s::uuid[]) as given (tenancy_id)
  where tenancy_id is distinct
  from %s;

