"""Session replays: recordings of sessions that arrive in chunks and whose totals a copy shows."""

import random
from datetime import timedelta

from dbsync_pipeline.demo.application.actor import Actor, Row, new_id


class ReplayTransactions(Actor):
    """Transactions on session replays and their chunks."""

    def start_replay(self, rng: random.Random) -> bool:
        """Start recording a session of a user."""
        with self.connection.transaction():
            tenancy = self.random_tenancy(rng)
            user_id = self.pick_user(rng, tenancy)
            if user_id is None or not self.still_exists(tenancy):
                return False
            now = self.clock()
            return self.write(
                """
                insert into "SessionReplay" (
                    "tenancyId", "id", "projectUserId", "refreshTokenId", "startedAt", "lastEventAt",
                    "createdAt", "updatedAt"
                )
                values (%s, %s, %s, %s, %s, %s, %s, %s)
                """,
                *(tenancy.id, new_id(rng), user_id, new_id(rng), self.some_time(rng), now, now, now),
            )

    def upload_chunk(self, rng: random.Random) -> bool:
        """Add a chunk to a replay; its events may be earlier than what arrived before."""
        with self.connection.transaction():
            replay = self._pick_replay(rng)
            if replay is None:
                return False
            now = self.clock()
            first_event = now - timedelta(seconds=rng.randrange(600))
            self.execute(
                """
                update "SessionReplay"
                set "startedAt" = least("startedAt", %s), "lastEventAt" = greatest("lastEventAt", %s), "updatedAt" = %s
                where "tenancyId" = %s and "id" = %s
                """,
                *(first_event, now, now, *replay),
            )
            return self._insert_chunk(rng, replay)

    def store_chunk(self, rng: random.Random) -> bool:
        """Add a chunk without writing to its replay."""
        with self.connection.transaction():
            replay = self._pick_replay(rng)
            return replay is not None and self._insert_chunk(rng, replay)

    def delete_chunk(self, rng: random.Random) -> bool:
        """Delete one chunk of a replay."""
        with self.connection.transaction():
            chunk = self.pick(
                rng,
                """
                select "id" from "SessionReplayChunk" where "tenancyId" = %s and "sessionReplayId" >= %s
                order by "sessionReplayId", "batchId" limit 1 for no key update skip locked
                """,
                self.random_tenancy(rng).id,
            )
            return chunk is not None and self.write('delete from "SessionReplayChunk" where "id" = %s', *chunk)

    def delete_replay(self, rng: random.Random) -> bool:
        """Delete a replay; its chunks go with it."""
        with self.connection.transaction():
            replay = self._pick_replay(rng)
            return replay is not None and self.write(
                'delete from "SessionReplay" where "tenancyId" = %s and "id" = %s', *replay
            )

    def _pick_replay(self, rng: random.Random) -> Row | None:
        """Lock the tenancy before the replay, because a chunk refers to both."""
        tenancy = self.random_tenancy(rng)
        if not self.still_exists(tenancy):
            return None
        return self.pick(
            rng,
            """
            select "tenancyId", "id" from "SessionReplay" where "tenancyId" = %s and "id" >= %s
            order by "id" limit 1 for no key update skip locked
            """,
            tenancy.id,
        )

    def _insert_chunk(self, rng: random.Random, replay: Row) -> bool:
        now = self.clock()
        return self.write(
            """
            insert into "SessionReplayChunk" (
                "id", "tenancyId", "sessionReplayId", "batchId", "sessionReplaySegmentId", "browserSessionId",
                "s3Key", "eventCount", "byteLength", "firstEventAt", "lastEventAt", "createdAt"
            )
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
            """,
            *(new_id(rng), *replay, new_id(rng), f"segment-{rng.randrange(9)}", f"secret_{rng.getrandbits(64):x}"),
            *(f"secret_{rng.getrandbits(64):x}", rng.randrange(500), rng.randrange(100_000), now, now, now),
        )
