"""`dbsync metrics` in a process of its own, when nothing that it asks answers."""

import re
import signal
import subprocess
from urllib.request import urlopen

from dbsync_pipeline_tests.cli.commands import DBSYNC, environment

NOBODY = {
    "DBSYNC_SOURCE_URL": "postgresql://app:sesame@127.0.0.1:1/app",
    "DBSYNC_CLICKHOUSE_URL": "http://default:sesame@127.0.0.1:1/",
}


def test_what_does_not_answer_is_a_value_and_not_a_traceback() -> None:
    with subprocess.Popen(
        [*DBSYNC, "metrics", "--port", "0"],
        env=environment(**NOBODY),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        (url,) = re.findall(r"http://127\.0\.0\.1:\d+/metrics", line)
        with urlopen(url, timeout=60) as answer:  # noqa: S310 -- of our own process
            text = answer.read().decode()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert "dbsync_up 0.0\n" in text
    assert "dbsync_clickhouse_up 0.0\n" in text
    assert (process.returncode, stdout) == (0, "Stopped.\n")
    assert "the source Postgres at 127.0.0.1:1/app does not answer" in stderr
    assert "Traceback" not in stderr
    assert "sesame" not in line + text + stderr
