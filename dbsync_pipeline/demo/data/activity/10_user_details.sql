insert into "ProjectUserDirectPermission" ("id", "tenancyId", "projectUserId", "permissionId", "createdAt", "updatedAt")
select
    pg_temp.key('projectPermission', i * 2 + n),
    tenancy_id,
    user_id,
    pg_temp.permission(i + n * 3),
    pg_temp.time('projectPermission.createdAt', i * 2 + n),
    pg_temp.usual_time('projectPermission.updatedAt', i * 2 + n)
from demo_user
cross join lateral generate_series(0, i % 3 - 1) as n;

insert into "UserNotificationPreference" ("id", "tenancyId", "projectUserId", "notificationCategoryId", "enabled")
select
    pg_temp.key('preference', i * 2 + n),
    tenancy_id,
    user_id,
    pg_temp.key('notificationCategory', n),
    pg_temp.roll('preference.enabled', i * 2 + n) < 0.3
from demo_user
cross join lateral generate_series(0, i % 4 - 2) as n;

-- One account in six is not, or no longer, bound to a user.
insert into "ProjectUserOAuthAccount" (
    "tenancyId", "id", "projectUserId", "configOAuthProviderId", "providerAccountId", "email",
    "allowSignIn", "allowConnectedAccounts", "createdAt", "updatedAt"
)
select
    tenancy_id,
    pg_temp.key('account', i * 2 + n),
    case when (i * 2 + n) % 6 <> 5 then user_id end,
    pg_temp.provider(i + n),
    pg_temp.text('account.providerAccountId', i * 2 + n, 'account-' || i),
    case when i % 4 > 0 then pg_temp.text('account.email', i * 2 + n, 'user' || i || '@provider.example') end,
    n = 0,
    i % 2 = 0,
    pg_temp.time('account.createdAt', i * 2 + n),
    pg_temp.usual_time('account.updatedAt', i * 2 + n)
from demo_user
cross join lateral generate_series(0, (i % 5 + 1) / 2 - 1) as n;

-- A few sessions belong to users that are gone: nothing in the schema forbids it.
insert into "ProjectUserRefreshToken" (
    "tenancyId", "id", "projectUserId", "refreshToken", "isImpersonation", "expiresAt", "lastActiveAt",
    "createdAt", "updatedAt"
)
select
    tenancy_id,
    pg_temp.key('session', i * 3 + n),
    case when (i * 3 + n) % 97 = 50 then pg_temp.key('goneUser', i) else user_id end,
    pg_temp.secret('session', i * 3 + n),
    (i * 3 + n) % 50 = 9,
    case when (i + n) % 3 > 0 then pg_temp.time('session.expiresAt', i * 3 + n) end,
    pg_temp.time('session.lastActiveAt', i * 3 + n),
    pg_temp.time('session.createdAt', i * 3 + n),
    pg_temp.usual_time('session.updatedAt', i * 3 + n)
from demo_user
cross join lateral generate_series(0, i % 4 - 1) as n;
