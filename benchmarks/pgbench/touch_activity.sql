-- A user is seen again, which no copy of users shows.
\set n random(0, :users - 1)
update "ProjectUser"
set "lastActiveAt" = now(), "updatedAt" = now()
where "tenancyId" = md5('staying tenancy' || :n::int % :tenancies::int)::uuid
    and "projectUserId" = md5('staying user' || :n)::uuid;
