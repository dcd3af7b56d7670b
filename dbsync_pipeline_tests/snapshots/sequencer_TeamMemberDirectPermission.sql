coalesce((select true
  from "public"."TeamMemberDirectPermission" as source
  where "source"."shouldUpdateSequenceId" and (true)
  order by "source"."tenancyId" limit 1), (select true
  from "dbsync"."tombstone"
  where mapping_id = any('{team_permissions}') and sequence_id is null
  order by mapping_id, tombstone_id limit 1), (select true
  from "dbsync"."touch"
  where dependant_id = any('{team_permissions.@tenancy}')
  order by dependant_id, touch_id limit 1), false);

with batch as materialized (select tombstone_id, identity
  from "dbsync"."tombstone"
  where mapping_id = 'team_permissions' and sequence_id is null and tombstone_id > 0
  order by tombstone_id limit 5000), living as materialized (select batch.tombstone_id, source.ctid as place
  from batch, lateral jsonb_populate_record(null::"public"."TeamMemberDirectPermission", batch.identity) as "gone"
  join "public"."TeamMemberDirectPermission" as source on "source"."tenancyId" = "gone"."tenancyId" and "source"."teamId" = "gone"."teamId" and "source"."projectUserId" = "gone"."projectUserId" and "source"."permissionId" = "gone"."permissionId"), locked as materialized (select source.ctid as place
  from "public"."TeamMemberDirectPermission" as source
  where source.ctid = any(array(select place
  from "living"))
  for no key update skip locked), ready as materialized (select tombstone_id, identity
  from batch
  where not exists (select
  from living
  where living.tombstone_id = batch.tombstone_id and living.place not in (select place
  from locked))), done as (update "dbsync"."tombstone" as t set sequence_id = nextval('dbsync.sequence_id')
  from ready
  where t.mapping_id = 'team_permissions' and t.sequence_id is null and t.tombstone_id = "ready".tombstone_id
  returning t.tenancy_id, t.sequence_id) select array_agg(place::text), null, null, (select max(tombstone_id)
  from batch having count(*) = 5000), 0
  from locked
  union all select null, 'team_permissions', tenancy_id, max(sequence_id), count(*)
  from done group by tenancy_id;

with mark as materialized (select last_value as id
  from dbsync.sequence_id), batch as materialized (select touch_id, match, coalesce(upto, (select id
  from mark)) as upto
  from "dbsync"."touch"
  where dependant_id = 'team_permissions.@tenancy' and touch_id > 0
  order by touch_id limit 5000), fed as materialized (select batch.touch_id, found.place
  from batch
  cross join lateral (select source.ctid as place
  from lateral jsonb_populate_record(null::"public"."TeamMemberDirectPermission", batch.match) as "feeding"
  join "public"."TeamMemberDirectPermission" as source on source."tenancyId" = "feeding"."tenancyId"
  where true and "source"."sequenceId" <= batch.upto limit 5000) as found limit 10000), locked as materialized (select source.ctid as place
  from "public"."TeamMemberDirectPermission" as source
  where source.ctid = any(array(select place
  from "fed"))
  for no key update skip locked), large as materialized (select touch_id
  from fed group by touch_id having count(*) = 5000), done as (delete
  from "dbsync"."touch" as t using batch
  where t.dependant_id = 'team_permissions.@tenancy' and t.touch_id = batch.touch_id and (select count(*)
  from fed) < 10000 and t.touch_id not in (select touch_id
  from large) and not exists (select
  from fed
  where fed.touch_id = batch.touch_id and fed.place not in (select place
  from locked))
  returning t.touch_id), begun as (update "dbsync"."touch" as t set upto = batch.upto
  from batch
  where t.dependant_id = 'team_permissions.@tenancy' and t.touch_id = batch.touch_id and t.upto is null and ((select count(*)
  from fed) = 10000 or t.touch_id in (select touch_id
  from large) or exists (select
  from fed
  where fed.touch_id = batch.touch_id and fed.place not in (select place
  from locked)))) select (select array_agg(place::text)
  from locked), (select count(*)
  from done), (select count(*)
  from batch) = 5000 or (select count(*)
  from fed) = 10000 or exists (select
  from large), (select max(touch_id)
  from batch having count(*) = 5000 and (select count(*)
  from done) < 5000 / 2);

with in_turn (place, turn) as materialized (select source.ctid, "source"."tenancyId"
  from "public"."TeamMemberDirectPermission" as source
  where "source"."shouldUpdateSequenceId" and (true) 
  order by "source"."tenancyId" limit 312
  for no key update skip locked), numbered as (update "public"."TeamMemberDirectPermission" as source set "sequenceId" = nextval('dbsync.sequence_id'), "shouldUpdateSequenceId" = false
  where source.ctid = any(array(select place
  from in_turn) || array(select source.ctid
  from "public"."TeamMemberDirectPermission" as source
  where "source"."shouldUpdateSequenceId" and (true) limit 5000 - (select count(*)
  from in_turn)
  for no key update skip locked) || '{"(0,1)"}'::tid[])
  returning source.*) select mapping_id, tenancy_id, max(sequence_id), count(*), (select turn::text
  from in_turn
  order by turn desc limit 1)
  from (select 'team_permissions' as mapping_id, "source"."tenancyId" as tenancy_id, "source"."sequenceId" as sequence_id
  from numbered as source
  where true) as changes group by mapping_id, tenancy_id;

