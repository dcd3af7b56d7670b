insert into "SessionReplay" (
    "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt", "createdAt", "updatedAt"
)
select
    tenancy_id,
    pg_temp.key('replay', i),
    user_id,
    pg_temp.key('session', i * 3),
    pg_temp.time('replay.startedAt', i),
    pg_temp.time('replay.lastEventAt', i),
    pg_temp.time('replay.createdAt', i),
    pg_temp.usual_time('replay.updatedAt', i)
from demo_user
where i % 5 < 2;

-- A replay has none to four chunks.
insert into "SessionReplayChunk" (
    "id", "tenancyId", "sessionReplayId", "batchId", "sessionReplaySegmentId", "browserSessionId", "s3Key",
    "eventCount", "byteLength", "firstEventAt", "lastEventAt", "createdAt"
)
select
    pg_temp.key('chunk', i * 4 + n),
    tenancy_id,
    pg_temp.key('replay', i),
    pg_temp.key('batch', i * 4 + n),
    'segment-' || n,
    pg_temp.secret('browser', i),
    pg_temp.secret('object', i * 4 + n),
    (i * 4 + n) % 500,
    case when i % 50 = 20 then 2147483647 else 1000 + i % 100000 end,
    pg_temp.usual_time('chunk.firstEventAt', i * 4 + n),
    pg_temp.usual_time('chunk.lastEventAt', i * 4 + n),
    pg_temp.usual_time('chunk.createdAt', i * 4 + n)
from demo_user
cross join lateral generate_series(0, i / 5 % 5 - 1) as n
where i % 5 < 2;
