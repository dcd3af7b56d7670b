coalesce((select true
  from "public"."VerificationCode" as source
  where "source"."shouldUpdateSequenceId" and ((source."type" = 'TEAM_INVITATION'))
  order by "source"."projectId" limit 1), (select true
  from "dbsync"."tombstone"
  where mapping_id = any('{team_invitations}') and sequence_id is null
  order by mapping_id, tombstone_id limit 1), (select true
  from "dbsync"."touch"
  where dependant_id = any('{team_invitations.team,team_invitations.@tenancy,team_invitations.@all}')
  order by dependant_id, touch_id limit 1), false);

with batch as materialized (select tombstone_id, identity
  from "dbsync"."tombstone"
  where mapping_id = 'team_invitations' and sequence_id is null and tombstone_id > 0
  order by tombstone_id limit 5000), living as materialized (select batch.tombstone_id, source.ctid as place
  from batch, lateral jsonb_populate_record(null::"public"."VerificationCode", batch.identity) as "gone"
  join "public"."VerificationCode" as source on "source"."projectId" = "gone"."projectId" and "source"."branchId" = "gone"."branchId" and "source"."id" = "gone"."id"), locked as materialized (select source.ctid as place
  from "public"."VerificationCode" as source
  where source.ctid = any(array(select place
  from "living"))
  for no key update skip locked), ready as materialized (select tombstone_id, identity
  from batch
  where not exists (select
  from living
  where living.tombstone_id = batch.tombstone_id and living.place not in (select place
  from locked))), placed as materialized (select ready.tombstone_id, coalesce(t.tenancy_id, p.tenancy_id) as tenancy_id
  from ready
  join "dbsync"."tombstone" as t on t.mapping_id = 'team_invitations' and t.sequence_id is null and t.tombstone_id = "ready".tombstone_id
  left join "dbsync"."placement" as p on p.mapping_id = 'team_invitations' and p.identity = ready.identity), numbered as (update "dbsync"."tombstone" as t set sequence_id = nextval('dbsync.sequence_id'), tenancy_id = placed.tenancy_id
  from placed
  where t.mapping_id = 'team_invitations' and t.sequence_id is null and t.tombstone_id = "placed".tombstone_id and placed.tenancy_id is not null
  returning t.tenancy_id, t.sequence_id), forgotten as (delete
  from "dbsync"."tombstone" as t using placed
  where t.mapping_id = 'team_invitations' and t.sequence_id is null and t.tombstone_id = "placed".tombstone_id and placed.tenancy_id is null
  returning t.tenancy_id, t.sequence_id), done as (select *
  from numbered
  union all select *
  from forgotten), displaced as (delete
  from "dbsync"."placement" as p using ready
  where p.mapping_id = 'team_invitations' and p.identity = ready.identity) select array_agg(place::text), null, null, (select max(tombstone_id)
  from batch having count(*) = 5000), 0
  from locked
  union all select null, 'team_invitations', tenancy_id, max(sequence_id), count(*)
  from done group by tenancy_id;

with mark as materialized (select last_value as id
  from dbsync.sequence_id), batch as materialized (select touch_id, match, coalesce(upto, (select id
  from mark)) as upto
  from "dbsync"."touch"
  where dependant_id = 'team_invitations.team' and touch_id > 0
  order by touch_id limit 5000), fed as materialized (select batch.touch_id, found.place
  from batch
  cross join lateral (select source.ctid as place
  from lateral jsonb_populate_record(null::"public"."Team", batch.match) as "feeding"
  join "public"."VerificationCode" as source on source."projectId" = "feeding"."mirroredProjectId" and source."branchId" = "feeding"."mirroredBranchId" and dbsync.uuid_or_null(source."data"->>'team_id') = "feeding"."teamId"
  where (source."type" = 'TEAM_INVITATION') and "source"."sequenceId" <= batch.upto limit 5000) as found limit 10000), locked as materialized (select source.ctid as place
  from "public"."VerificationCode" as source
  where source.ctid = any(array(select place
  from "fed"))
  for no key update skip locked), large as materialized (select touch_id
  from fed group by touch_id having count(*) = 5000), done as (delete
  from "dbsync"."touch" as t using batch
  where t.dependant_id = 'team_invitations.team' and t.touch_id = batch.touch_id and (select count(*)
  from fed) < 10000 and t.touch_id not in (select touch_id
  from large) and not exists (select
  from fed
  where fed.touch_id = batch.touch_id and fed.place not in (select place
  from locked))
  returning t.touch_id), begun as (update "dbsync"."touch" as t set upto = batch.upto
  from batch
  where t.dependant_id = 'team_invitations.team' and t.touch_id = batch.touch_id and t.upto is null and ((select count(*)
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

with mark as materialized (select last_value as id
  from dbsync.sequence_id), batch as materialized (select touch_id, match, coalesce(upto, (select id
  from mark)) as upto
  from "dbsync"."touch"
  where dependant_id = 'team_invitations.@tenancy' and touch_id > 0
  order by touch_id limit 5000), fed as materialized (select batch.touch_id, found.place
  from batch
  cross join lateral (select source.ctid as place
  from lateral jsonb_populate_record(null::"dbsync"."placement", batch.match) as "feeding"
  join "dbsync"."placement" as placement on placement.mapping_id = 'team_invitations' and placement."tenancy_id" = "feeding"."tenancy_id"
  cross join lateral jsonb_populate_record(null::"public"."VerificationCode", placement.identity) as "placed"
  join "public"."VerificationCode" as source on "source"."projectId" = "placed"."projectId" and "source"."branchId" = "placed"."branchId" and "source"."id" = "placed"."id"
  where (source."type" = 'TEAM_INVITATION') and "source"."sequenceId" <= batch.upto limit 5000) as found limit 10000), locked as materialized (select source.ctid as place
  from "public"."VerificationCode" as source
  where source.ctid = any(array(select place
  from "fed"))
  for no key update skip locked), large as materialized (select touch_id
  from fed group by touch_id having count(*) = 5000), done as (delete
  from "dbsync"."touch" as t using batch
  where t.dependant_id = 'team_invitations.@tenancy' and t.touch_id = batch.touch_id and (select count(*)
  from fed) < 10000 and t.touch_id not in (select touch_id
  from large) and not exists (select
  from fed
  where fed.touch_id = batch.touch_id and fed.place not in (select place
  from locked))
  returning t.touch_id), begun as (update "dbsync"."touch" as t set upto = batch.upto
  from batch
  where t.dependant_id = 'team_invitations.@tenancy' and t.touch_id = batch.touch_id and t.upto is null and ((select count(*)
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

with mark as materialized (select last_value as id
  from dbsync.sequence_id), batch as materialized (select touch_id, match, coalesce(upto, (select id
  from mark)) as upto
  from "dbsync"."touch"
  where dependant_id = 'team_invitations.@all' and touch_id > 0
  order by touch_id limit 5000), fed as materialized (select batch.touch_id, found.place
  from batch
  cross join lateral (select source.ctid as place
  from lateral jsonb_populate_record(null::"public"."VerificationCode", batch.match) as "feeding"
  join "public"."VerificationCode" as source on true
  where (source."type" = 'TEAM_INVITATION') and "source"."sequenceId" <= batch.upto limit 5000) as found limit 10000), locked as materialized (select source.ctid as place
  from "public"."VerificationCode" as source
  where source.ctid = any(array(select place
  from "fed"))
  for no key update skip locked), large as materialized (select touch_id
  from fed group by touch_id having count(*) = 5000), done as (delete
  from "dbsync"."touch" as t using batch
  where t.dependant_id = 'team_invitations.@all' and t.touch_id = batch.touch_id and (select count(*)
  from fed) < 10000 and t.touch_id not in (select touch_id
  from large) and not exists (select
  from fed
  where fed.touch_id = batch.touch_id and fed.place not in (select place
  from locked))
  returning t.touch_id), begun as (update "dbsync"."touch" as t set upto = batch.upto
  from batch
  where t.dependant_id = 'team_invitations.@all' and t.touch_id = batch.touch_id and t.upto is null and ((select count(*)
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

with in_turn (place, turn) as materialized (select source.ctid, "source"."projectId"
  from "public"."VerificationCode" as source
  where "source"."shouldUpdateSequenceId" and ((source."type" = 'TEAM_INVITATION')) 
  order by "source"."projectId" limit 312
  for no key update skip locked), numbered as (update "public"."VerificationCode" as source set "sequenceId" = nextval('dbsync.sequence_id'), "shouldUpdateSequenceId" = false
  where source.ctid = any(array(select place
  from in_turn) || array(select source.ctid
  from "public"."VerificationCode" as source
  where "source"."shouldUpdateSequenceId" and ((source."type" = 'TEAM_INVITATION')) limit 5000 - (select count(*)
  from in_turn)
  for no key update skip locked) || '{"(0,1)"}'::tid[])
  returning source.*), "placed_team_invitations" as materialized (select jsonb_build_object('projectId', "source"."projectId", 'branchId', "source"."branchId", 'id', "source"."id") as identity, case when "team"."mirroredProjectId" is not null then (team."tenancyId") end as tenancy_id, "source"."sequenceId" as sequence_id
  from numbered as source
  left join "public"."Team" as "team" on "team"."mirroredProjectId" = source."projectId" and "team"."mirroredBranchId" = source."branchId" and "team"."teamId" = dbsync.uuid_or_null(source."data"->>'team_id')
  where (source."type" = 'TEAM_INVITATION')), "entombed_team_invitations" as (insert into "dbsync"."tombstone" (mapping_id, tenancy_id, identity, sequence_id) select 'team_invitations', p.tenancy_id, p.identity, nextval('dbsync.sequence_id')
  from "dbsync"."placement" as p
  join "placed_team_invitations" using (identity)
  where p.mapping_id = 'team_invitations' and p.tenancy_id is distinct
  from "placed_team_invitations".tenancy_id
  returning tenancy_id, sequence_id), "unplaced_team_invitations" as (delete
  from "dbsync"."placement" as p using "placed_team_invitations"
  where p.mapping_id = 'team_invitations' and p.identity = "placed_team_invitations".identity and "placed_team_invitations".tenancy_id is null), "put_team_invitations" as (insert into "dbsync"."placement" (mapping_id, identity, tenancy_id, sequence_id) select 'team_invitations', identity, tenancy_id, sequence_id
  from "placed_team_invitations"
  where tenancy_id is not null
  on conflict (mapping_id, identity) do update set tenancy_id = excluded.tenancy_id, sequence_id = excluded.sequence_id), "changed_team_invitations" as (select 'team_invitations' as mapping_id, tenancy_id, sequence_id
  from "placed_team_invitations"
  union all select 'team_invitations', tenancy_id, sequence_id
  from "entombed_team_invitations") select mapping_id, tenancy_id, max(sequence_id), count(*), (select turn::text
  from in_turn
  order by turn desc limit 1)
  from (select *
  from "changed_team_invitations") as changes group by mapping_id, tenancy_id;

