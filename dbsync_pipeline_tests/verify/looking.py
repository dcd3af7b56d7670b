"""Looks at a pipeline of a test as `dbsync verify` does."""

from dbsync_pipeline.verify.differences import Difference, Verified
from dbsync_pipeline.verify.rounds import Choice, verify
from dbsync_pipeline_tests.harness import Harness


def verified(
    pipeline: Harness, choice: Choice | None = None, *, repair: bool = False, patience_seconds: float = 0
) -> list[Verified]:
    """Compare; nobody is given time to number anything."""
    found = list(verify(pipeline.pipeline, choice or Choice(), repair=repair, patience_seconds=patience_seconds))
    assert [entry.error for entry in found if entry.error] == []
    return found


def differences(pipeline: Harness, *mapping_ids: str, repair: bool = False) -> list[Difference]:
    """Compare some mappings, or all, everywhere."""
    found = verified(pipeline, Choice(mappings=mapping_ids or None), repair=repair)
    assert sum(entry.differing for entry in found) == sum(len(entry.differences) for entry in found)
    return [difference for entry in found for difference in entry.differences]


def assert_mended(pipeline: Harness, *mapping_ids: str) -> None:
    """Repair, deliver, and look again."""
    differences(pipeline, *mapping_ids, repair=True)
    pipeline.drain()
    assert differences(pipeline, *mapping_ids) == []
    pipeline.assert_equal(*mapping_ids)
