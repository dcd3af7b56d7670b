"""Copies that cannot be reached, for as long as the model wants it so."""

from collections.abc import Sequence
from typing import Literal

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline_tests.harness import External
from dbsync_pipeline_tests.proxy import Proxy

Failure = Literal["stopped", "silent", "refusing", "breaking off"]
Place = External | None
"""A copy: an external database, or ClickHouse, which is None."""


class Outages:
    """Which copies fail now, and how.

    Attributes:
        proxies: what the pipeline connects to in place of each external database, by that one's own URL.
    """

    def __init__(self, clickhouse: EmbeddedClickHouse, elsewhere: EmbeddedPostgres, urls: Sequence[str]) -> None:
        self._clickhouse = clickhouse
        self._elsewhere = elsewhere
        self.proxies = {url: Proxy(url) for url in urls}
        # By URL; ClickHouse's is None.
        self._failing: dict[str | None, Failure] = {}
        self._heard_out: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._failing)

    def of(self, place: Place) -> Failure | None:
        """Return how a copy fails now, if it does."""
        return self._failing.get(None if place is None else place.url)

    def is_to_be_tried(self, place: Place) -> bool:
        """Whether to deliver to a copy though it fails; silence takes its time, and is listened to once."""
        failure = self.of(place)
        if failure != "silent" or place is None:
            return failure is not None
        heard_out = place.destination_id in self._heard_out
        self._heard_out.add(place.destination_id)
        return not heard_out

    def stop(self, server: Literal["clickhouse", "elsewhere"]) -> None:
        """Kill ClickHouse, or the server of all external databases."""
        if server == "clickhouse":
            self._clickhouse.kill()
            self._failing[None] = "stopped"
        else:
            self._elsewhere.kill()
            self._failing |= dict.fromkeys(self.proxies, "stopped")

    def cut_off(self, url: str, failure: Failure, after: int) -> None:
        """Let one external database fail; it breaks off when so many bytes have come since a COPY began."""
        if self._failing.get(url) == "stopped":
            return
        self._failing[url] = failure
        self.proxies[url].restore()
        match failure:
            case "silent":
                self.proxies[url].fall_silent()
            case "refusing":
                self.proxies[url].refuse()
            case _:
                self.proxies[url].break_off(after)

    def end(self) -> None:
        """Bring back what was away."""
        self._clickhouse.start()
        self._elsewhere.start()
        for proxy in self.proxies.values():
            proxy.restore()
        self._failing.clear()
        self._heard_out.clear()

    def close(self) -> None:
        """Take the proxies away, and leave both servers running."""
        self.end()
        for proxy in self.proxies.values():
            proxy.__exit__()
