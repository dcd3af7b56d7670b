"""Finds the mapping files and holds what they say: the catalog that everything else is generated from.

Nothing here needs a database; `schema.py` checks a catalog against one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dbsync_pipeline.errors import MappingError
from dbsync_pipeline.mappings.document import read_file
from dbsync_pipeline.mappings.spec import Join, SyncMapping, Table, TenancySpec
from dbsync_pipeline.settings import BUILTIN_MAPPINGS

BUILTIN_DIRECTORY = Path(__file__).parent / BUILTIN_MAPPINGS
TENANCY_FILE = "_tenancy.yaml"


@dataclass(frozen=True)
class Dependant:
    """A mapping whose rows are fed by another table, and the join that feeds them."""

    mapping: SyncMapping
    join: Join

    @property
    def dependant_id(self) -> str:
        """Name of the pair, unique in the catalog."""
        return f"{self.mapping.mapping_id}.{self.join.alias}"


@dataclass(frozen=True)
class Catalog:
    """Every mapping in use, in the order of their ids, and how the application tells tenancies apart.

    `files` says where each mapping was read, and under `TENANCY_FILE` where the tenancy table was.
    """

    tenancy: TenancySpec
    mappings: tuple[SyncMapping, ...]
    files: dict[str, Path]

    def mapping(self, mapping_id: str) -> SyncMapping:
        """Return one mapping.

        Raises:
            MappingError: there is none of that name.
        """
        for mapping in self.mappings:
            if mapping.mapping_id == mapping_id:
                return mapping
        raise MappingError(f"no mapping {mapping_id!r}", f"There are {', '.join(m.mapping_id for m in self.mappings)}.")

    def select(self, mapping_ids: Iterable[str]) -> "Catalog":
        """Return the catalog cut down to some mappings; all of them when none is named."""
        wanted = tuple(self.mapping(mapping_id) for mapping_id in mapping_ids)
        return self if not wanted else Catalog(self.tenancy, wanted, self.files)

    @property
    def source_tables(self) -> tuple[Table, ...]:
        """The tables that carry the sync columns, each once."""
        return tuple(dict.fromkeys(mapping.source for mapping in self.mappings))

    def mappings_of(self, table: Table) -> tuple[SyncMapping, ...]:
        """Return the mappings whose source is `table`."""
        return tuple(mapping for mapping in self.mappings if mapping.source == table)

    @property
    def dependants(self) -> tuple[Dependant, ...]:
        """Every (mapping, join) pair."""
        return tuple(Dependant(mapping, join) for mapping in self.mappings for join in mapping.joins)

    def dependants_of(self, table: Table) -> tuple[Dependant, ...]:
        """Return the pairs that `table` feeds."""
        return tuple(dependant for dependant in self.dependants if dependant.join.table == table)

    @property
    def captured_tables(self) -> tuple[Table, ...]:
        """Every table that gets triggers: sources, joined tables, and the tenancy table, each once."""
        joined = (dependant.join.table for dependant in self.dependants)
        return tuple(dict.fromkeys((*self.source_tables, *joined, self.tenancy.table)))


def load_catalog(directories: str = BUILTIN_MAPPINGS) -> Catalog:
    """Read every mapping file of the comma-separated directories; `builtin` names the twelve that come along.

    Raises:
        MappingError: a file is missing or wrong.
    """
    tenancy: TenancySpec | None = None
    mappings: list[SyncMapping] = []
    files: dict[str, Path] = {}
    for name in (part.strip() for part in directories.split(",") if part.strip()):
        directory = BUILTIN_DIRECTORY if name == BUILTIN_MAPPINGS else Path(name)
        if not directory.is_dir():
            raise MappingError(f"no directory {name} of mappings", "Correct DBSYNC_MAPPINGS.")
        for path in sorted(directory.glob("*.yaml")):
            if path.name == TENANCY_FILE:
                found = read_file(path, TenancySpec)
                if tenancy not in (None, found):
                    raise MappingError(
                        f"{path}:1: a second tenancy table",
                        "All mappings of one deployment share one; delete this file.",
                    )
                tenancy = found
                files[TENANCY_FILE] = path
                continue
            mapping = read_file(path, SyncMapping)
            if mapping.mapping_id in files:
                raise MappingError(
                    f"{path}:1: mapping {mapping.mapping_id!r} is also declared by {files[mapping.mapping_id]}",
                    "Two mappings cannot fill one target table; rename one.",
                )
            mappings.append(mapping)
            files[mapping.mapping_id] = path
    if tenancy is None:
        raise MappingError(
            f"no {TENANCY_FILE} in {directories}", "It names the tenancy table; see the built-in one for its form."
        )
    if not mappings:
        raise MappingError(f"no mapping file in {directories}", "Add one, or correct DBSYNC_MAPPINGS.")
    return Catalog(tenancy, tuple(sorted(mappings, key=lambda mapping: mapping.mapping_id)), files)
