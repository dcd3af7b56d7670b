"""The model: everything that can happen to a pipeline, in any order, and what has to hold while it does.

There is no second implementation to compare with. What the copies should hold follows from the source alone, whatever
happened before; so each step only has to be possible, and the checks are the same at every rest. Work can stop between
any two of its steps and go on much later, behind newer work: sequencers in the middle of their transaction, workers
with rows already read in their hands, the application in transactions that stay open. Copies can fail as long; until
they are back, all others are right at every rest, and then they are complete, though nothing has changed since.
"""

import random
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dbsync_pipeline.demo.application.actor import Tenancy
from dbsync_pipeline.demo.application.mix import WEIGHTS, Application
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.engine.cycle import SyncCycle, SyncResult
from dbsync_pipeline.errors import UnreachableError
from dbsync_pipeline.mappings.relation import CLICKHOUSE
from dbsync_pipeline.pending.due import destinations_due
from dbsync_pipeline.retention import purge
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.expected import EXPECTED
from dbsync_pipeline_tests.harness import External, Harness, init_source
from dbsync_pipeline_tests.invariants.stepping import Steps, WatchedSequencer, WatchedWorker, expire_leases, kill
from dbsync_pipeline_tests.model.outages import Failure, Outages, Place
from dbsync_pipeline_tests.serving import serving

_FEWEST_TENANCIES = 2
_SESSIONS = 3
_WORKERS = 3
_SEQUENCERS = 2
_STEPS_BETWEEN_RESTS = 3

Transaction = Callable[[Application, random.Random], bool]
_TRANSACTIONS: tuple[Transaction, ...] = (*WEIGHTS, Application.truncate_preferences)
_FURNITURE: tuple[Transaction, ...] = (
    *(Application.sign_up, Application.sign_up, Application.create_team, Application.join_team, Application.invite),
    *(Application.grant_team_permission, Application.grant_project_permission, Application.set_preference),
    *(Application.sign_in, Application.link_account, Application.write_email, Application.start_replay),
)
# Keys that go, come back, or change hands: where copies are easiest to get wrong.
_RISKY: tuple[Transaction, ...] = (
    *(Application.recreate_user, Application.recreate_user_later, Application.move_user, Application.recreate_team),
    *(Application.rejoin_team, Application.rejoin_team_later, Application.delete_team, Application.delete_user),
    *(Application.regrant_team_permission, Application.regrant_project_permission, Application.redirect_invitation),
    *(Application.change_project_permission, Application.promote_channel, Application.rename_team),
    *(Application.unbind_account, Application.bind_account, Application.replace_preference),
    *(Application.delete_tenancy, Application.create_sibling_tenancy, Application.revoke_code),
)


_LOCKED = "what is left behind cannot be looked for: canceling statement due to lock timeout"
"""A sequencer in the middle of its transaction is not waited for here, where nobody lets it go on."""
_DISABLED = "is disabled or gone"
_OUT_OF_REACH = ("ClickHouse at", "external database")


def _errors(results: Iterable[SyncResult]) -> list[str]:
    return [result.delivery.error for result in results if result.delivery.error]


@dataclass
class Work:
    """A worker in the middle of a cycle; `excused` once its copy has failed meanwhile."""

    worker: WatchedWorker
    steps: Steps
    place: Place
    excused: bool


class CrowdedApplication(Application):
    """The demo's application, with all tenancies equally busy and equally likely to go."""

    def random_tenancy(self, rng: random.Random) -> Tenancy:
        return rng.choice(self.tenancies)

    def doomed_tenancy(self, rng: random.Random) -> Tenancy | None:
        return rng.choice(self.tenancies) if len(self.tenancies) > _FEWEST_TENANCIES else None


class Session:
    """One session of the application, and its open transaction, if it has one."""

    def __init__(self, pipeline: Harness) -> None:
        self.connection = pipeline.write(autocommit=True)
        # The model is one thread: what waits for another transaction of its own gives up at once.
        self.connection.execute("set lock_timeout = '100ms'")
        self.open: psycopg.Transaction | None = None

    def run(self, transaction: Transaction, rng: random.Random) -> None:
        """Run one transaction of the application, in the open one if there is one; a conflict undoes it."""
        application = CrowdedApplication(self.connection)
        if not application.tenancies:
            return
        with suppress(psycopg.errors.IntegrityError, psycopg.errors.OperationalError):
            transaction(application, rng)

    def begin(self) -> None:
        self.open = self.connection.transaction()
        self.open.__enter__()

    def end(self, *, commit: bool) -> None:
        assert self.open is not None
        transaction, self.open = self.open, None
        if commit:
            transaction.__exit__(None, None, None)
        else:
            rollback = psycopg.Rollback(transaction)
            transaction.__exit__(type(rollback), rollback, None)


_session = st.integers(0, _SESSIONS - 1)
_transactions = st.lists(st.sampled_from(_TRANSACTIONS) | st.sampled_from(_RISKY), min_size=1, max_size=6)
_batch = st.sampled_from((1, 3, 50))
_chunk_rows = st.sampled_from((1, 3, 1000))
# Which external database a worker serves; most serve ClickHouse, or the demand on either would be too small.
_where = st.sampled_from((None, None, None, 0, 1, 2))


class PipelineMachine(RuleBasedStateMachine):
    """The rules; `pipeline`, and the server of the external databases, are set by who runs it."""

    pipeline: Harness
    elsewhere: EmbeddedPostgres

    @initialize(seed=st.integers(0, 1000), delivered=st.booleans())
    def start(self, seed: int, *, delivered: bool) -> None:
        self.pipeline.reset()
        urls = [self.elsewhere.create_database(f"model_{uuid.uuid4().hex[:12]}_{name}") for name in "ab"]
        self.outages = Outages(self.pipeline.server.clickhouse, self.elsewhere, urls)
        self.rng = random.Random(seed)
        self.sessions = [Session(self.pipeline) for _ in range(_SESSIONS)]
        self.numbering: list[tuple[WatchedSequencer, Steps] | None] = [None] * _SEQUENCERS
        self.working: list[Work | None] = [None] * _WORKERS
        self.checkpoints: dict[tuple[str, Any, int], int] = {}
        self.complete: list[tuple[int, set[tuple[Any, ...]]]] = []
        self.purged = False
        self.steps = 0
        application = CrowdedApplication(self.sessions[0].connection)
        for _ in range(2):
            application.create_project(self.rng)
            application.create_sibling_tenancy(self.rng)
        for transaction in _FURNITURE * 6:
            self.sessions[0].run(transaction, self.rng)
        first, second, *_ = [tenancy for (tenancy,) in self.pipeline.rows('select "id" from "Tenancy" order by 1')]
        # One of two in common.
        places = ((first, "main", urls[0]), (first, "second", urls[1]), (second, "main", urls[1]))
        self.externals = [
            self.pipeline.configure_external(owner, name, url=url, connection=self.outages.proxies[url].url)
            for owner, name, url in places
        ]
        self.places: list[Place] = [None, *self.externals]
        self.opened = ExitStack()
        self.serving = self.opened.enter_context(serving(self.pipeline))
        self.sending: list[Callable[[], None]] = []
        if delivered:
            self.pipeline.drain()

    # --- the application

    @rule(session=_session, transactions=_transactions)
    def write(self, session: int, transactions: list[Transaction]) -> None:
        for transaction in transactions:
            # A table that is emptied at one stroke stays locked to the end, and with it everyone who reads it.
            if self.sessions[session].open is None or transaction is not Application.truncate_preferences:
                self.sessions[session].run(transaction, self.rng)

    @rule(session=_session, transactions=_transactions, batch=_batch)
    def write_and_number(self, session: int, transactions: list[Transaction], batch: int) -> None:
        self.write(session, transactions)
        self.number_all(batch)

    @rule(session=_session, transactions=_transactions, chunk_rows=_chunk_rows)
    def write_and_deliver(self, session: int, transactions: list[Transaction], chunk_rows: int) -> None:
        self.write(session, transactions)
        self.number_all(50)
        self.deliver_all(chunk_rows, 100)

    @rule(session=_session, transactions=_transactions)
    def hold_open(self, session: int, transactions: list[Transaction]) -> None:
        """Write in a transaction that stays open."""
        if self.sessions[session].open is None:
            self.sessions[session].begin()
        self.write(session, transactions)

    @rule(session=_session, ending=st.sampled_from(("commit", "commit", "roll back", "disconnect")))
    def end(self, session: int, ending: str) -> None:
        if ending == "disconnect":
            self.sessions[session].connection.close()
            self.sessions[session] = Session(self.pipeline)
        elif self.sessions[session].open is not None:
            self.sessions[session].end(commit=ending == "commit")

    # --- the sequencer

    @rule(which=st.integers(0, _SEQUENCERS - 1), batch=_batch, steps=st.integers(1, 40))
    def number(self, which: int, batch: int, steps: int) -> None:
        """Start a pass, or go on with one, up to a number of boundaries."""
        entry = self.numbering[which]
        if entry is None:
            passing = Steps()
            sequencer = WatchedSequencer(self.pipeline, batch_size=batch, tell=passing.wait)
            entry = self.numbering[which] = (sequencer, passing.start(sequencer.sequencer.run_pass))
        for _ in range(steps):
            if entry[1].advance() is None:
                self._end_numbering(which)
                break
        self._check_complete()

    @rule(batch=_batch)
    def number_all(self, batch: int) -> None:
        """Run one whole pass, unless another sequencer is in the middle of a transaction."""
        sequencer = WatchedSequencer(self.pipeline, batch_size=batch)
        assert sequencer.sequencer.run_pass().errors == {}
        sequencer.close()
        self._check_complete()

    def _kill_sequencer(self, which: int) -> None:
        entry = self.numbering[which]
        if entry is not None:
            kill(self.pipeline, entry[0].sessions)
            entry[1].abandon()
            entry[0].close()
            self.numbering[which] = None

    def _end_numbering(self, which: int) -> None:
        entry = self.numbering[which]
        if entry is not None:
            self.numbering[which] = None
            result = entry[1].finish()
            assert result.errors == {}
            entry[0].close()

    # --- workers

    @rule(
        which=st.integers(0, _WORKERS - 1),
        chunk_rows=_chunk_rows,
        batch_size=st.sampled_from((1, 4, 100)),
        steps=st.integers(1, 40),
        where=_where,
    )
    def deliver(self, which: int, chunk_rows: int, batch_size: int, steps: int, where: int | None) -> None:
        """Start a cycle, or go on with one, up to a number of boundaries."""
        entry = self.working[which]
        if entry is None:
            place = None if where is None else self.externals[where]
            if self._is_closed(place):
                return
            cycle = Steps()
            worker = WatchedWorker(
                self.pipeline, chunk_rows=chunk_rows, batch_size=batch_size, external=place, tell=cycle.wait
            )
            cycle.start(worker.cycle.run_once)
            entry = self.working[which] = Work(worker, cycle, place, excused=self.outages.of(place) is not None)
        for _ in range(steps):
            if entry.steps.advance() is None:
                self._end_work(which)
                break
        self._check_checkpoints()

    @rule(chunk_rows=_chunk_rows, batch_size=st.sampled_from((4, 100)), where=_where)
    def deliver_all(self, chunk_rows: int, batch_size: int, where: int | None = None) -> None:
        """Run one whole cycle."""
        place = None if where is None else self.externals[where]
        if self._is_closed(place):
            return
        worker = WatchedWorker(self.pipeline, chunk_rows=chunk_rows, batch_size=batch_size, external=place)
        self._check_results(place, worker.cycle.run_once())
        worker.close()
        self._check_checkpoints()

    @rule(sends=st.integers(0, 3), ends=st.booleans())
    def deliver_in_rounds(self, sends: int, *, ends: bool) -> None:
        """Begin a round of the external databases that have something due, or go on with one, and perhaps end it."""
        if not self.sending:
            # Whoever was doubted is not any more.
            self.serving.seconds += 10
            due = [entry.destination_id for entry in destinations_due(self.pipeline.admin, 100)]
            begun = self.serving.begin(due)
            self.sending = list(begun.sending.values())
            for place in self.externals:
                if place.destination_id in begun.alone and self.outages.of(place) is None:
                    self._check_results(place, self.serving.alone(place.destination_id))
        for _ in range(min(sends, len(self.sending))):
            self.sending.pop()()
        if ends:
            self.serving.rounds.finish()
        self._check_checkpoints()

    def _is_closed(self, place: Place) -> bool:
        """Whether no worker can begin, which is so without ClickHouse."""
        if place is not None or self.outages.of(place) is None:
            return False
        with pytest.raises(UnreachableError), self.pipeline.worker():
            pass
        return True

    def _check_results(self, place: Place, results: list[SyncResult]) -> None:
        """Judge a cycle that nothing has changed for: who cannot be reached has got nothing, all others have."""
        failure, errors = self.outages.of(place), _errors(results)
        if failure is None:
            assert [error for error in errors if _LOCKED not in error] == []
        elif failure != "breaking off":
            assert len(errors) == len(results)

    def _kill_worker(self, which: int, session: slice) -> None:
        """Cut the session that reads, the one that keeps the queue, or both."""
        entry = self.working[which]
        if entry is not None:
            kill(self.pipeline, entry.worker.sessions[session])
            entry.steps.abandon()
            entry.worker.close()
            self.working[which] = None

    def _end_work(self, which: int) -> None:
        entry = self.working[which]
        if entry is not None:
            self.working[which] = None
            allowed = (_LOCKED, _DISABLED, *(_OUT_OF_REACH if entry.excused else ()))
            errors = _errors(entry.steps.finish())
            assert [error for error in errors if not any(words in error for words in allowed)] == []
            entry.worker.close()

    # --- the operator, and fate

    @rule(
        mishap=st.sampled_from(
            (
                *(*("leases", "worker", "sequencer") * 3, "reader", "queue", "resync"),
                *("purge", "purge", "disable", "enable"),
            )
        ),
        which=st.integers(0, _WORKERS - 1),
        mapping_id=st.sampled_from(sorted(EXPECTED)),
    )
    def suffer(self, mishap: str, which: int, mapping_id: str) -> None:
        match mishap:
            case "leases":
                expire_leases(self.pipeline)
            case "sequencer":
                self._kill_sequencer(which % _SEQUENCERS)
            case "worker" | "reader" | "queue":
                self._kill_worker(which, {"worker": slice(0, 2), "reader": slice(0, 1), "queue": slice(1, 2)}[mishap])
            case "resync":
                self._resync(mapping_id)
            case "purge":
                self.purged = True
                purge(self.pipeline.admin, self.pipeline.catalog, days=0)
            case _:
                self._enable(self.externals[which % len(self.externals)], enabled=mishap == "enable")

    def _enable(self, external: External, *, enabled: bool) -> None:
        self.pipeline.admin.execute(
            "update dbsync.destination set enabled = %s where destination_id = %s and enabled <> %s",
            [enabled, external.destination_id, enabled],
        )

    def _resync(self, mapping_id: str) -> None:
        """Deliver a mapping again: for `init`, it changed."""
        if all(session.open is None for session in self.sessions) and not any(self.numbering):
            self.pipeline.admin.execute(
                "update dbsync.installed set fingerprint = 'older' where object_id = %s", [f"mapping {mapping_id}"]
            )
            init_source(self.pipeline.pipeline, self.pipeline.admin)

    @rule(server=st.sampled_from(("clickhouse", "elsewhere")))
    def stop(self, server: Literal["clickhouse", "elsewhere"]) -> None:
        """Kill a server of copies, which stays away until it is brought back."""
        self.outages.stop(server)
        self._excuse()

    @rule(
        database=st.sampled_from((0, 1)),
        failure=st.sampled_from(("silent", "silent", "refusing", "breaking off", "breaking off")),
        after=st.integers(0, 3_000),
    )
    def cut_off(self, database: int, failure: Failure, after: int) -> None:
        """Let one external database fail, until it is brought back."""
        self.outages.cut_off([*self.outages.proxies][database], failure, after)
        self._excuse()

    def _excuse(self) -> None:
        for entry in self.working:
            if entry is not None and self.outages.of(entry.place) is not None:
                entry.excused = True

    @precondition(lambda self: self.outages)
    @rule(at_rest=st.booleans())
    def bring_back(self, *, at_rest: bool) -> None:
        """End all outages; at rest, one sync makes every copy complete, though nothing has changed in its tenancy."""
        if not at_rest:
            self.outages.end()
            return
        self._end_writing()
        self._check_rest()
        late = [place for place in self.places if self.outages.of(place) is not None]
        self.outages.end()
        expire_leases(self.pipeline)
        for place in late:
            self._sync(place)
        assert not self._waits(self.places)
        if self.purged:
            # What they have and the source has not is found only now, and gets its tombstones.
            self._drain()
        assert not self.pipeline.sequence()
        self._check_copies(late)

    @invariant()
    def count(self) -> None:
        """Count the steps since the last rest: two that follow each other see the same, and take the time of many."""
        self.steps += 1

    @precondition(lambda self: self.steps > _STEPS_BETWEEN_RESTS)
    @rule()
    def rest(self) -> None:
        """Everybody but the workers ends; a fresh pipeline drains; then the workers go on where they stopped."""
        self._end_writing()
        self._check_rest()
        if any(self.working):
            for which in range(_WORKERS):
                self._end_work(which)
            self._check_rest()

    def _end_writing(self) -> None:
        for session in self.sessions:
            if session.open is not None:
                session.end(commit=True)
        for which in range(_SEQUENCERS):
            self._end_numbering(which)

    def teardown(self) -> None:
        if not hasattr(self, "sessions"):
            return
        with ExitStack() as stack:
            stack.callback(self.outages.close)
            stack.callback(self.opened.close)
            for session in self.sessions:
                stack.callback(session.connection.close)
            for numbering in self.numbering:
                if numbering is not None:
                    stack.callback(numbering[0].close)
                    stack.callback(numbering[1].abandon)
            for work in self.working:
                if work is not None:
                    stack.callback(work.worker.close)
                    stack.callback(work.steps.abandon)
            self.outages.end()
            self.rest()

    # --- what has to hold

    def _check_rest(self) -> None:
        expire_leases(self.pipeline)
        for external in self.externals:
            self._enable(external, enabled=True)
        self.steps = 0
        self._drain()
        self._check_complete()
        self._check_checkpoints()
        self._check_copies([place for place in self.places if self.outages.of(place) is None])

    def _drain(self) -> None:
        """Number and deliver all there is; a copy that fails is tried first, once, and keeps nobody from the rest."""
        self.pipeline.sequence()
        for place in self.places:
            if self.outages.is_to_be_tried(place) and not self._is_closed(place):
                with self._worker(place) as worker:
                    self._check_results(place, worker.run_once())
        well = [place for place in self.places if self.outages.of(place) is None]
        while self.pipeline.sequence() or self._waits(well):
            for place in well:
                self._sync(place)

    def _worker(self, place: Place) -> AbstractContextManager[SyncCycle]:
        return self.pipeline.worker() if place is None else self.pipeline.external_worker(place.destination_id)

    def _waits(self, places: list[Place]) -> bool:
        """Whether some of the copies lack anything that has its number."""
        ids = [CLICKHOUSE if place is None else place.destination_id for place in places]
        return self.pipeline.value(
            "select exists (select from dbsync.pending where wanted > reached and destination_id = any(%s))", ids
        )

    def _sync(self, place: Place) -> None:
        if self._waits([place]):
            with self._worker(place) as worker:
                while found := worker.run_once():
                    assert _errors(found) == []

    def _check_copies(self, places: list[Place]) -> None:
        for place in places:
            if place is not None:
                place.assert_equal()
                continue
            for found in verify(self.pipeline.pipeline, Choice(destinations=[CLICKHOUSE]), patience_seconds=0):
                self.pipeline.assert_equal(found.mapping_id)
                assert (found.differing, found.waiting, found.source_rows) == (0, 0, found.destination_rows)

    def _check_complete(self) -> None:
        """Invariant I1: up to a mark once seen, rows and tombstones leave or get higher ids; none ever joins."""
        parts = [
            f'select \'{table.name}\', "sequenceId" from "{table.name}" where "sequenceId" is not null'
            for table in self.pipeline.catalog.source_tables
        ]
        parts.append("select 'tombstone', sequence_id from dbsync.tombstone where sequence_id is not null")
        found = self.pipeline.rows(
            f"select last_sequence_id, array(select (n.t || ':' || n.id) from ({' union all '.join(parts)}) n (t, id) "
            "where n.id <= last_sequence_id) from dbsync.sequencer"
        )
        ((mark, members),) = found
        now = {(name, int(number)) for name, number in (member.split(":") for member in members)}
        for earlier, then in self.complete:
            joined = {member for member in now if member[1] <= earlier} - then
            assert not joined, f"joined below {earlier}: {joined}"
        self.complete = [*self.complete[-5:], (mark, now)]

    def _check_checkpoints(self) -> None:
        """Invariant I5: a checkpoint never goes back within its epoch."""
        for place in self.places:
            if self.outages.of(place) != "stopped":
                where = "ClickHouse" if place is None else place.url
                for mapping_id, tenancy, epoch, reached in self._read_checkpoints(place):
                    key = (f"{where} {mapping_id}", tenancy, epoch)
                    assert reached >= self.checkpoints.get(key, 0)
                    self.checkpoints[key] = reached

    def _read_checkpoints(self, place: Place) -> list[tuple[Any, ...]]:
        if place is None:
            return self.pipeline.clickhouse.query(
                "select mapping_id, tenancy_id, epoch, max(sequence_id) "
                f"from {self.pipeline.names.checkpoint} group by mapping_id, tenancy_id, epoch"
            )
        with suppress(psycopg.errors.UndefinedTable):
            return place.run("select mapping_id, tenancy_id, epoch, sequence_id from dbsync.sync_checkpoint")
        return []
