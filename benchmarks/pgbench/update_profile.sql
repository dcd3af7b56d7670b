-- A user changes what copies show.
\set n random(0, :users - 1)
update "ProjectUser"
set "displayName" = 'User at ' || clock_timestamp(), "updatedAt" = now()
where "tenancyId" = md5('staying tenancy' || :n::int % :tenancies::int)::uuid
    and "projectUserId" = md5('staying user' || :n)::uuid;
