"""Generates the triggers of one table of the application.

They do what no writer can be trusted to remember: mark a changed row dirty (invariant I2 starts here), write the
tombstone of a row that is gone in the transaction that removes it (I3), and touch the rows of other tables that a
change feeds. They take no lock on any other row, so that they can neither block nor deadlock the application.

* before insert and before update, per row: set the dirty flag, of an updated row when a column that a mapping reads
  changes its stored image, and keep everyone but the sequencer from writing the sync columns. The latter also touches
  what a changed row feeds, so that a change costs one call.
* before update also entombs a row whose key or tenancy changed. Should the update not be made after all, the tombstone
  is one of a row that lives, as if the row had been deleted and created again (I4).
* after update, per row, rarely fired: does so where a trigger before the update could not see it, or every update would
  pay for writing a key's JSON alike in every session. Elsewhere it notes what could not be captured.
* after insert, per statement, over the transition table, and per row where logical replication applies it, which has
  neither; after delete, per row, since most deletions are those of a foreign key, which find few rows or none, where a
  statement's trigger runs all the same; before truncate, over the table itself.

No write of the application fails because it has changed a column under them: what they need of a row is looked at
first, within a block, and where that fails, each part is tried by itself, or noted as missed.

A `when` clause is read anew by every statement, which costs a microsecond for each column in it, while a function is
compiled once a session; so what is long is compared in the function.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from dbsync_pipeline.capture.effects import (
    OLD_ROW,
    Verdict,
    any_feeding,
    by_likeness,
    by_the_application,
    caught,
    changed,
    compare,
    entomb,
    entomb_known,
    entomb_left,
    has_left,
    if_changed,
    is_feeding,
    miss,
    register,
    touch_row,
    touch_rows,
    touch_tenancies,
    unregister,
    was_kept,
)
from dbsync_pipeline.mappings import expressions
from dbsync_pipeline.mappings.catalog import Catalog
from dbsync_pipeline.mappings.dependants import Feed, join_feeds
from dbsync_pipeline.mappings.relation import (
    CHANGE,
    DELETION,
    LATE_TRIGGERS,
    TENANCIES,
    TRIGGER_SEARCH_PATH,
    joined,
    ours,
    shortened,
    table_name,
)
from dbsync_pipeline.mappings.schema import SourceTable
from dbsync_pipeline.mappings.spec import SOURCE, SyncMapping, Table

_NEW_ROWS = sql.Identifier("new_rows")
_IDENTIFIER_BYTES = 63
_BODY = "declare gone record; fresh record; {}begin {} end"
_OPTIONS = f"security definer set search_path = {TRIGGER_SEARCH_PATH}"
# What a key's JSON looks like must not depend on the session that writes it. Each option costs two microseconds a call.
_SESSION_OPTIONS = (
    "set timezone = 'UTC' set bytea_output = 'hex' set extra_float_digits = 1 set intervalstyle = 'iso_8601'"
)
# For what reads the table itself: a policy that binds the owner of the function is an error then, and hides no row.
_UNFILTERED = "set row_security = off"
_LOOKS_THE_SAME = re.compile(
    r"(uuid|text|smallint|integer|bigint|boolean|date|numeric|character|character varying"
    r"|timestamp without time zone)(\(.*\))?"
)
# TRUNCATE also removes rows that its transaction cannot see, and nothing can tell which they are.
_NO_OLD_VIEW = sql.SQL(
    "if current_setting('transaction_isolation') not like 'read %' then "
    "raise feature_not_supported using message = 'a synced table cannot be truncated in an isolation level above read "
    "committed', hint = 'Rows that this transaction cannot see would go unnoticed: use DELETE, or READ COMMITTED.'; "
    "end if;"
)


@dataclass(frozen=True)
class Trigger:
    """One trigger, the function it calls, and what has it fire in which sessions."""

    name: str
    function: sql.Composed
    trigger: sql.Composed
    enabled: sql.Composed

    @property
    def statements(self) -> tuple[sql.Composed, ...]:
        """What installs it, in order."""
        return self.function, self.trigger, self.enabled


@dataclass(frozen=True)
class TableCapture:
    """What is generated for one table: `triggers` in the order they are installed."""

    table: Table
    triggers: tuple[Trigger, ...]

    @property
    def fingerprint(self) -> str:
        """A hash of everything generated; equal fingerprints need no reinstallation."""
        text = "".join(part.as_string(None) for trigger in self.triggers for part in trigger.statements)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class _Look:
    """What is written of one row where something is true of it.

    Attributes:
        name: the variable that says so.
        apart: looks and writes at once, where an error has come before, as what is written else may not fit either.
    """

    name: str
    truth: sql.Composable
    writing: sql.Composable
    apart: sql.Composable


class _Generator:
    """Generates for one table; the state is what the statements have in common."""

    def __init__(self, catalog: Catalog, table: SourceTable, sequence_column: str, dirty_column: str) -> None:
        self.catalog = catalog
        self.table = table.table
        self.source = table
        self.columns = table.columns
        self.sequence = sql.Identifier(sequence_column)
        self.dirty = sql.Identifier(dirty_column)
        self.own = (sequence_column, dirty_column)
        self.mappings = catalog.mappings_of(self.table)
        self.feeds = tuple(feed for feed in join_feeds(catalog) if feed.table == self.table)
        self.late_feeds = tuple(feed for feed in self.feeds if self._is_generated({*feed.match, *feed.constants}))
        self.early_feeds = tuple(feed for feed in self.feeds if feed not in self.late_feeds)
        self.is_tenancy_table = catalog.tenancy.table == self.table
        self.early_leavers = self.mappings if self._leaves_early() else ()

    def triggers(self) -> tuple[Trigger, ...]:
        found = [self._fresh()] if self.mappings else []
        if self.mappings or self.early_feeds:
            found.append(self._mark())
        if self.feeds or self.is_tenancy_table:
            found += [self._after_insert(), self._after_applied()]
        if self.mappings or self.late_feeds or self.is_tenancy_table:
            found.append(self._after_update())
        found += [self._after_delete(), self._before_truncate()]
        return tuple(found)

    def _fresh(self) -> Trigger:
        """A row never arrives numbered or clean, not even one restored with its old sync columns."""
        body = sql.SQL("new.{sequence} := null; new.{dirty} := true; return new;").format(
            sequence=self.sequence, dirty=self.dirty
        )
        when = sql.SQL("new.{sequence} is not null or new.{dirty} is not true").format(
            sequence=self.sequence, dirty=self.dirty
        )
        return self._trigger("fresh", "before insert", "row", body, when=when, definer=False)

    def _mark(self) -> Trigger:
        """Look at an updated row once, since most updates change nothing that anybody reads."""
        verdicts: list[Verdict] = []
        statements: list[sql.Composable] = []
        if self.mappings:
            read = frozenset[str]().union(*(mapping.source_columns for mapping in self.mappings))
            verdicts.append(Verdict("seen", self._stored(read), sql.SQL("seen := true;")))
            # What triggers of the application change of a row that is being numbered goes out under that number.
            statements.append(
                sql.SQL(
                    "if seen then "
                    "if {foreign} then new.{sequence} := old.{sequence}; new.{dirty} := true; end if; "
                    "elsif {rewritten} then "
                    "if {foreign} then new.{sequence} := old.{sequence}; "
                    "new.{dirty} := old.{dirty} or coalesce(new.{dirty}, false); end if; end if;"
                ).format(
                    foreign=by_the_application(),
                    rewritten=changed(self.own),
                    sequence=self.sequence,
                    dirty=self.dirty,
                )
            )
        for number, mapping in enumerate(self.early_leavers, 1):
            # In doubt, the trigger after the update looks.
            name = f"left_{number}"
            left = Verdict(name, self._stored(_deciding(mapping)), sql.SQL("{} := false;").format(sql.Identifier(name)))
            verdicts.append(left)
            statements.append(sql.SQL("if {} then {} end if;").format(left.variable, entomb_left(mapping)))
        fed = self._fed(self.early_feeds)
        statements += self._touch_changed(self.early_feeds, fed)
        definer = bool(self.early_feeds or self.early_leavers)
        return self._trigger(
            "mark",
            "before update",
            "row",
            sql.SQL("{} {} return new;").format(compare([*verdicts, *fed]), joined(statements, " ")),
            variables=[*(verdict.name for verdict in [*verdicts, *fed]), *_sides(fed)],
            definer=definer,
        )

    def _after_insert(self) -> Trigger:
        statements: list[sql.Composable] = []
        if self.feeds:
            each = joined((self._touch_guarded([feed], _NEW_ROWS) for feed in self.feeds), " ")
            statements += [
                caught(
                    sql.SQL("feeding := {};").format(any_feeding(self.feeds, _NEW_ROWS)),
                    sql.SQL("feeding := false; {}").format(each),
                ),
                sql.SQL("if feeding then {} end if;").format(touch_rows(self.source, self.feeds, _NEW_ROWS)),
            ]
        if self.is_tenancy_table:
            statements.append(
                _tenancies_caught(
                    register(self.catalog.tenancy, sql.SQL("{} as source").format(_NEW_ROWS)),
                    # Rows may be there before their tenancy, or outlive it; they are sent when it comes (back).
                    sql.SQL("for fresh in select * from new_rows loop {} end loop;").format(
                        joined(touch_tenancies(self.catalog, "fresh"), " ")
                    ),
                )
            )
        return self._trigger(
            "insert",
            "after insert",
            "statement",
            _block(statements),
            tables=sql.SQL("referencing new table as new_rows"),
            variables=["feeding"] if self.feeds else (),
        )

    def _after_applied(self) -> Trigger:
        """Do the same for each row where no statement inserts it, as when logical replication applies it.

        A session that replicates by statements fires both, and touches twice.
        """
        looks = self._touch_of("new")
        statements = _looked_at(looks)
        if self.is_tenancy_table:
            coming = register(self.catalog.tenancy, sql.SQL("(select new.*) as source"))
            statements.append(_tenancies_caught(coming, *touch_tenancies(self.catalog, "new")))
        variables = [look.name for look in looks]
        return self._trigger(
            "applied", "after insert", "row", _block(statements), variables=variables, firing="replica"
        )

    def _after_update(self) -> Trigger:
        if self.early_leavers:
            return self._guard()
        watched: set[str] = set()
        verdicts: list[Verdict] = []
        statements: list[sql.Composable] = []
        for number, mapping in enumerate(self.mappings, 1):
            watched |= _deciding(mapping)
            name = sql.Identifier(f"left_{number}")
            left = Verdict(
                f"left_{number}",
                self._stored(_deciding(mapping)),
                sql.SQL("{} := false; {}").format(name, miss([mapping.mapping_id], DELETION)),
                sql.SQL("if {name} then {name} := {left}; end if;").format(name=name, left=has_left(mapping)),
            )
            verdicts.append(left)
            statements.append(sql.SQL("if {} then {} end if;").format(name, entomb_known(mapping)))
        fed = self._fed(self.late_feeds)
        if fed:
            watched = watched.union(*(feed.watched for feed in self.late_feeds))
            statements += self._touch_changed(self.late_feeds, fed)
        if verdicts or fed:
            statements.insert(0, compare([*verdicts, *fed]))
        if self.is_tenancy_table:
            deciding = {self.catalog.tenancy.id, *(entry.source for entry in self.catalog.tenancy.columns)}
            watched |= deciding
            statements.append(_tenancies_caught(if_changed(self._stored(deciding), *self._tenancy_changed())))
        when = changed(self._stored(watched))
        variables = [*(verdict.name for verdict in [*verdicts, *fed]), *_sides(fed)]
        return self._trigger("update", "after update", "row", _block(statements), when=when, variables=variables)

    def _guard(self) -> Trigger:
        """Note it when a key is changed by another name than the trigger before the update has looked for it by.

        It fires for what a statement names only, which costs the others nothing, and by its `when` clause keeps
        Postgres from dropping or retyping the columns.
        """
        deciding = self._stored(frozenset[str]().union(*map(_deciding, self.early_leavers)))
        looking = sql.SQL("perform {};").format(changed(deciding))
        return self._trigger(
            "update",
            "after update",
            "row",
            _block([caught(looking, miss((mapping.mapping_id for mapping in self.early_leavers), DELETION))]),
            of=deciding,
            when=changed(deciding),
        )

    def _after_delete(self) -> Trigger:
        looks = [
            _Look(
                f"kept_{number}",
                was_kept(mapping),
                entomb_known(mapping),
                caught(entomb(mapping, OLD_ROW), miss([mapping.mapping_id], DELETION)),
            )
            for number, mapping in enumerate(self.mappings, 1)
        ]
        looks += self._touch_of("old")
        statements = _looked_at(looks)
        if self.is_tenancy_table:
            leaving = [unregister(self.catalog.tenancy, "old"), *touch_tenancies(self.catalog, "old")]
            statements.append(_tenancies_caught(*leaving))
        variables = [look.name for look in looks]
        return self._trigger("delete", "after delete", "row", _block(statements), variables=variables)

    def _before_truncate(self) -> Trigger:
        rows = table_name(self.table)
        statements: list[sql.Composable] = [
            _NO_OLD_VIEW,
            *(caught(entomb(mapping, rows), miss([mapping.mapping_id], DELETION)) for mapping in self.mappings),
            *(self._touch_guarded([feed], rows) for feed in self.feeds),
        ]
        if self.is_tenancy_table:
            leaving = joined([unregister(self.catalog.tenancy, "gone"), *touch_tenancies(self.catalog, "gone")], " ")
            every = sql.SQL("for gone in select * from {rows} loop {leaving} end loop;")
            statements.append(_tenancies_caught(every.format(rows=rows, leaving=leaving)))
        return self._trigger("truncate", "before truncate", "statement", _block(statements), unfiltered=True)

    def _touch_of(self, record: str) -> list[_Look]:
        """Return what one row that comes or goes touches."""
        return [
            _Look(
                f"feeds_{number}",
                is_feeding(alike, record),
                touch_row(alike, record),
                caught(
                    sql.SQL("if {} then {} end if;").format(is_feeding(alike, record), touch_row(alike, record)),
                    miss((feed.mapping.mapping_id for feed in alike), CHANGE),
                ),
            )
            for number, alike in enumerate(by_likeness(self.feeds), 1)
        ]

    def _touch_guarded(self, feeds: Sequence[Feed], rows: sql.Composable) -> sql.Composed:
        """Touch what any number of rows feed, or note that it cannot be told."""
        return caught(touch_rows(self.source, feeds, rows), miss((feed.mapping.mapping_id for feed in feeds), CHANGE))

    def _fed(self, feeds: Sequence[Feed]) -> list[Verdict]:
        """Return whether an updated row has to touch what it feeds, for each of those that are alike."""
        return [self._fed_alike(number, alike) for number, alike in enumerate(by_likeness(feeds), 1)]

    def _fed_alike(self, number: int, alike: Sequence[Feed]) -> Verdict:
        name, was, now = (sql.Identifier(f"{part}_{number}") for part in ("fed", "was", "now"))
        looking = sql.SQL("{was} := {old}; {now} := {new};").format(
            was=was, now=now, old=is_feeding(alike, "old"), new=is_feeding(alike, "new")
        )
        touching = sql.SQL("if {was} then {old} end if; if {now} then {new} end if;").format(
            was=was, now=now, old=touch_row(alike, "old"), new=touch_row(alike, "new")
        )
        guarded = caught(joined([looking, touching], " "), miss((feed.mapping.mapping_id for feed in alike), CHANGE))
        return Verdict(
            f"fed_{number}",
            self._stored(alike[0].watched),
            sql.SQL("{name} := false; if {foreign} then {touching} end if;").format(
                name=name,
                foreign=by_the_application(),
                touching=guarded,
            ),
            sql.SQL("if {name} then {looking} end if;").format(name=name, looking=looking),
            sql.SQL("if {name} then {touching} {name} := false; end if;").format(name=name, touching=touching),
        )

    def _touch_changed(self, feeds: Sequence[Feed], fed: Sequence[Verdict]) -> list[sql.Composable]:
        """Touch what an updated row feeds, and what it fed before."""
        return [
            sql.SQL("if {fed} then if {was} then {left} end if; if {now} then {new} end if; end if;").format(
                fed=verdict.variable,
                was=sql.Identifier(f"was_{number}"),
                now=sql.Identifier(f"now_{number}"),
                left=if_changed(self._stored({*alike[0].match, *alike[0].constants}), touch_row(alike, "old")),
                new=touch_row(alike, "new"),
            )
            for number, (alike, verdict) in enumerate(zip(by_likeness(feeds), fed, strict=True), 1)
        ]

    def _tenancy_changed(self) -> list[sql.Composable]:
        leaving = joined([unregister(self.catalog.tenancy, "old"), *touch_tenancies(self.catalog, "old")], " ")
        return [
            sql.SQL("if {} then {} end if;").format(changed((self.catalog.tenancy.id,)), leaving),
            register(self.catalog.tenancy, sql.SQL("(select new.*) as source")),
            *touch_tenancies(self.catalog, "new"),
        ]

    def _stored(self, names: frozenset[str] | set[str]) -> tuple[str, ...]:
        """Replace generated columns by those they are generated from: a before trigger cannot see the former."""
        stored: set[str] = set()
        for name in names:
            stored |= set(self.columns[name].generated_from) or {name}
        return tuple(sorted(stored))

    def _is_generated(self, names: frozenset[str] | set[str]) -> bool:
        return any(self.columns[name].generated_from for name in names)

    def _leaves_early(self) -> bool:
        """Tell whether the trigger before an update can entomb a row at no more than the cost of a plain call."""
        generated = any(self._is_generated(_deciding(mapping)) for mapping in self.mappings)
        return self._looks_the_same() and not (generated or self.late_feeds or self.is_tenancy_table)

    def _looks_the_same(self) -> bool:
        """Tell whether what is written of a row is the same in every session."""
        written = {name for mapping in self.mappings for name in mapping.identity}
        compared = {name for feed in self.feeds for name in feed.constants}
        for feed in self.feeds:
            written |= set(feed.match)
        if self.is_tenancy_table:
            written |= {self.catalog.tenancy.id, *(entry.source for entry in self.catalog.tenancy.columns)}
        return (
            all(_LOOKS_THE_SAME.fullmatch(self.columns[name].type) for name in written)
            and not any(self.columns[name].type.endswith("with time zone") for name in compared)
            and not any(mapping.filter for mapping in self.mappings)
        )

    def _options(self, *, unfiltered: bool) -> sql.SQL:
        options = _OPTIONS if self._looks_the_same() else f"{_OPTIONS} {_SESSION_OPTIONS}"
        return sql.SQL(f"{options} {_UNFILTERED}" if unfiltered else options)

    def _trigger(
        self,
        event: str,
        timing: str,
        level: str,
        body: sql.Composable,
        *,
        of: Sequence[str] = (),
        when: sql.Composable | None = None,
        variables: Sequence[str] = (),
        tables: sql.Composable | None = None,
        definer: bool = True,
        unfiltered: bool = False,
        firing: LiteralString = "always",
    ) -> Trigger:
        name = f"{LATE_TRIGGERS}{event}" if timing.startswith("before") else f"dbsync_{event}"
        function_name = ours(_object_name(self.table, event))
        declared = joined((sql.SQL("{} boolean; ").format(sql.Identifier(name)) for name in variables), "")
        function = sql.SQL(
            "create or replace function {name}() returns trigger language plpgsql {options} as {body}"
        ).format(
            name=function_name,
            options=self._options(unfiltered=unfiltered) if definer else sql.SQL(""),
            body=sql.Literal(sql.SQL(_BODY).format(declared, body).as_string(None)),
        )
        trigger = sql.SQL(
            "create or replace trigger {name} {timing}{of} on {table} {tables} for each {level} {when} "
            "execute function {function}()"
        ).format(
            name=sql.Identifier(name),
            timing=sql.SQL(timing),  # pyright: ignore[reportArgumentType] -- one of five texts above
            of=sql.SQL(" of {}").format(joined(map(sql.Identifier, of))) if of else sql.SQL(""),
            table=table_name(self.table),
            tables=tables or sql.SQL(""),
            level=sql.SQL(level),  # pyright: ignore[reportArgumentType] -- row or statement
            when=sql.SQL("when ({})").format(when) if when is not None else sql.SQL(""),
            function=function_name,
        )
        enabled = sql.SQL("alter table {table} enable {firing} trigger {name}").format(
            table=table_name(self.table), firing=sql.SQL(firing), name=sql.Identifier(name)
        )
        return Trigger(name, function, trigger, enabled)


def generate(catalog: Catalog, table: SourceTable, *, sequence_column: str, dirty_column: str) -> TableCapture:
    """Generate the triggers of one table: a source, one that feeds sources, the tenancy table, or several of these."""
    generator = _Generator(catalog, table, sequence_column, dirty_column)
    return TableCapture(table.table, generator.triggers())


def _object_name(table: Table, event: str) -> str:
    name = f"{event}_{table}"
    if len(name.encode()) <= _IDENTIFIER_BYTES:
        return name
    return f"{event}_{hashlib.sha256(str(table).encode()).hexdigest()[:16]}_{shortened(table.name, 30)}"


def _deciding(mapping: SyncMapping) -> frozenset[str]:
    """Return the columns by which a row is one of a mapping's, and which."""
    filtering = expressions.columns_of(mapping.filter, SOURCE) if mapping.filter else frozenset[str]()
    return filtering | set(mapping.identity)


def _tenancies_caught(*statements: sql.Composable) -> sql.Composed:
    """Note it where it cannot be told which tenancies there are; they are few, so that nobody pays for the block."""
    return caught(joined(statements, " "), miss([TENANCIES], CHANGE))


def _looked_at(looks: Sequence[_Look]) -> list[sql.Composable]:
    """Look first whether what is to be written can be, since each write within a block would cost everybody."""
    if not looks:
        return []
    names = [sql.Identifier(look.name) for look in looks]
    looking = [sql.SQL("{} := {};").format(name, look.truth) for name, look in zip(names, looks, strict=True)]
    nothing = [sql.SQL("{} := false;").format(name) for name in names]
    instead = joined([*nothing, *(look.apart for look in looks)], " ")
    writing = [
        sql.SQL("if {} then {} end if;").format(name, look.writing) for name, look in zip(names, looks, strict=True)
    ]
    return [caught(joined(looking, " "), instead), *writing]


def _sides(fed: Sequence[Verdict]) -> list[str]:
    """Name the variables that say whether an updated row fed anything, and whether it does now."""
    return [f"{part}_{number}" for number, _ in enumerate(fed, 1) for part in ("was", "now")]


def _block(statements: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL("{} return null;").format(joined(statements, " "))
