"""What a check says of what was compared: a verdict, what to do about it, and a table of the rows that differ."""

from collections.abc import Sequence
from dataclasses import replace

import dagster as dg
import pandas as pd  # pyright: ignore[reportMissingTypeStubs] -- it has none

from dbsync_pipeline.defs.verdicts import EQUALS_SOURCE
from dbsync_pipeline.verify.differences import BY_HAND, MEANINGS, Difference, Verified
from dbsync_pipeline.verify.record import Coverage
from dbsync_pipeline.verify.scope import Scope

_KEYS_SHOWN = 50
_DESTINATIONS_NAMED = 3
_TENANCIES_KEPT = 200
"""Tenancies with differences that are looked at again at every tick."""


def result_of(
    key: dg.AssetKey,
    entries: Sequence[Verified],
    scope: Scope,
    coverage: Coverage | None,
    *,
    repaired: Sequence[Verified] = (),
) -> dg.AssetCheckResult:
    """Return the verdict on an asset, whose copies are those of a mapping of one kind.

    Args:
        key: the asset.
        entries: what its copies came to in the end.
        scope: what was looked at.
        coverage: how much has ever been.
        repaired: what they had come to before that was delivered again.
    """
    differing = [entry for entry in entries if entry.differing]
    errors = {entry.destination_id: entry.error for entry in entries if entry.error}
    metadata: dict[str, dg.MetadataValue] = {
        "rows_compared": dg.MetadataValue.int(sum(entry.source_rows for entry in entries)),
        "rows_differing": dg.MetadataValue.int(sum(entry.differing for entry in entries)),
        "rows_on_their_way": dg.MetadataValue.int(sum(entry.waiting for entry in entries)),
        "copies": dg.MetadataValue.int(len({entry.destination_id for entry in entries})),
        "everything": dg.MetadataValue.bool(scope.is_everything),
    }
    if coverage is not None:
        metadata |= {
            "ever_compared": dg.MetadataValue.int(coverage.compared),
            "never_compared": dg.MetadataValue.int(coverage.never_compared),
            "last_differing": dg.MetadataValue.int(coverage.differing),
        }
        if coverage.oldest is not None:
            metadata["oldest_comparison"] = dg.MetadataValue.timestamp(coverage.oldest)
    said: list[str] = []
    if repaired:
        metadata["rows_repaired"] = dg.MetadataValue.int(sum(entry.differing for entry in repaired))
        metadata["repaired"] = _table(repaired)
        said.append(f"Delivered again: {counted(repaired)}.")
    if errors:
        metadata["not_compared"] = dg.MetadataValue.json(errors)
    if not differing:
        # What could not be looked at is nothing to rely on, and nothing that differs.
        return dg.AssetCheckResult(
            asset_key=key,
            check_name=EQUALS_SOURCE,
            passed=not errors,
            severity=dg.AssetCheckSeverity.WARN if errors else dg.AssetCheckSeverity.ERROR,
            metadata=metadata,
            description=" ".join([*said, *list(errors.values())[:1]]) or None,
        )
    tenancies = sorted({difference.tenancy for entry in differing for difference in entry.differences})
    metadata["tenancies"] = dg.MetadataValue.json(tenancies[:_TENANCIES_KEPT])
    metadata["differences"] = _table(differing)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=EQUALS_SOURCE,
        passed=False,
        metadata=metadata,
        description=" ".join([*said, _account(key, differing, tenancies)]),
    )


def repairable_of(entries: Sequence[Verified]) -> list[Verified]:
    """Return those that have differences that can be repaired, with these alone."""
    return [
        replace(entry, differing=entry.differing - len(entry.differences) + len(repairable), differences=repairable)
        for entry in entries
        if (repairable := tuple(difference for difference in entry.differences if difference.repairable))
    ]


def counted(entries: Sequence[Verified]) -> str:
    """Return how many rows differ, in words."""
    return _plural(sum(entry.differing for entry in entries), "row", "rows")


def _account(key: dg.AssetKey, differing: Sequence[Verified], tenancies: Sequence[str]) -> str:
    """Return what differs and what to do, as Markdown."""
    listed = [difference for entry in differing for difference in entry.differences]
    first = listed[0]
    # A checkpoint is no row.
    place = ", ".join(text for text in (f"tenancy {first.tenancy}", _shown_key(first)) if text)
    what = f"Differing: {counted(differing)} of {_plural(len(tenancies), 'tenancy', 'tenancies')}"
    said = [f"{what}; the first is {first.kind}: {place}."]
    if any(difference.repairable for difference in listed):
        named = [f" --destination {entry.destination_id}" for entry in differing]
        destinations = "".join(named) if len(named) <= _DESTINATIONS_NAMED else ""
        command = f"dbsync verify --repair --mapping {key.path[-1]}{destinations}"
        said.append(f"To put it right, launch `repair_job`, or run `{command}`.")
    if not all(difference.repairable for difference in listed):
        said.append(BY_HAND)
    return " ".join(said)


def _table(differing: Sequence[Verified]) -> dg.MarkdownMetadataValue:
    shown = [
        {
            "copy": entry.destination_id,
            "tenancy": difference.tenancy,
            "key": _shown_key(difference),
            "what": difference.kind,
            "columns": ", ".join(difference.columns),
            "meaning": MEANINGS[difference.kind],
        }
        for entry in differing
        for difference in entry.differences
    ]
    table = pd.DataFrame(shown[:_KEYS_SHOWN]).to_markdown(index=False)  # pyright: ignore[reportUnknownMemberType] -- as above
    return dg.MetadataValue.md(table)


def _shown_key(difference: Difference) -> str:
    return ", ".join(f"{name}={value}" for name, value in difference.key.items())


def _plural(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
