"""How a run of Dagster does long work: beside itself, through outages, and so that it can be cancelled.

The work has a thread of its own; the run's main thread keeps Dagster's books and receives cancellation. Cancelling
sets the event that the work looks at between two batches, so that no batch is cut in half.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

import dagster as dg
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    sleep_using_event,
    stop_after_delay,
    stop_when_event_set,
    wait_exponential,
)

from dbsync_pipeline.destinations.base import Pair
from dbsync_pipeline.errors import DbsyncError, UnreachableError

_LONGEST_PAUSE_SECONDS = 15
_FAILURES_NAMED = 5

_Result = TypeVar("_Result")


def beside(
    work: Callable[[Event], _Result], *, every_seconds: float, beat: Callable[[], None], stop: Event | None = None
) -> _Result:
    """Run `work` in a thread until it ends, and `beat` in this one meanwhile.

    Whatever interrupts this thread sets the event that `work` was given, waits for its end, and goes on from here.
    The event may be given, for `beat` to set it.
    """
    stop = stop or Event()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="dbsync") as threads:
        working = threads.submit(work, stop)
        try:
            while not wait([working], timeout=every_seconds).done:
                beat()
        finally:
            stop.set()
    return working.result()


def through_outages(
    work: Callable[[], _Result], *, stop: Event, max_seconds: float, note: Callable[[str], None]
) -> _Result:
    """Start `work` again, after pauses that grow, whenever a database stops answering.

    Raises:
        UnreachableError: it still did not answer when the time was up.
    """

    def tell(attempt: RetryCallState) -> None:
        error = attempt.outcome.exception() if attempt.outcome is not None else None
        if isinstance(error, DbsyncError):
            note(error.what)

    retrying = Retrying(
        retry=retry_if_exception_type(UnreachableError),
        wait=wait_exponential(max=_LONGEST_PAUSE_SECONDS),
        stop=stop_after_delay(max_seconds) | stop_when_event_set(stop),
        sleep=sleep_using_event(stop),
        before_sleep=tell,
        reraise=True,
    )
    return retrying(work)


@contextmanager
def visible_failures() -> Generator[None]:
    """Turn an error that a person can act on into a failure that says just that, without a stack of causes."""
    try:
        yield
    except DbsyncError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


def failure_of(failing: Sequence[tuple[Pair, str]]) -> dg.Failure:
    """Return the failure that names what is not delivered: the first few pairs, and how many there are."""
    named = [
        f"tenancy {pair.tenancy_id}, mapping {pair.mapping_id}: {error}" for pair, error in failing[:_FAILURES_NAMED]
    ]
    more = len(failing) - len(named)
    if more:
        named.append(f"and {more} more")
    return dg.Failure(
        f"{len(failing)} of the deliveries failed; everything else was delivered.\n" + "\n".join(named),
        metadata={"failed": len(failing)},
        allow_retries=False,
    )
