-- A user goes, and with it, by foreign keys, what hangs on it.
\set t random(0, :tenancies - 1)
delete from "ProjectUser"
where "tenancyId" = md5('passing tenancy' || :t)::uuid and "projectUserId" = (
    select "projectUserId" from "ProjectUser"
    where "tenancyId" = md5('passing tenancy' || :t)::uuid and "projectUserId" >= gen_random_uuid()
    order by "projectUserId" limit 1 for update skip locked
);
