"""The tools that somebody would take instead: sling and dlt, each in the mode that its own documentation recommends.

They live in a virtual environment of their own under the user's cache, made when they are first needed, and left out
with a word about it where they cannot be installed. Both run with their own parallelism and batch sizes; only what
they would report to their makers is switched off, as it would wait for a network.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_REQUIREMENTS = ("sling==1.4.10", "sling-linux-amd64==1.4.10", "dlt[postgres,sql-database]==1.31.0", "pyarrow==26.0.1")
_DLT_SCRIPT = Path(__file__).with_name("rival_dlt.py")

RIVAL_SCHEMA = "bench"
"""Where the rivals write in their target."""


@dataclass(frozen=True)
class Rivals:
    """The environment that both are installed in."""

    venv: Path

    def sling(self, source: str, target: str, table: str, key: str, cursor: str | None) -> float:
        """Copy a table of schema public, or with a cursor column what is new in it, into one that has a primary key.

        Returns:
            The seconds that took. Sling is one native program, so that its start counts, some hundredths of a second.
        """
        options = json.dumps({"table_keys": {"primary": [key]}})
        return self._sling(source, target, table, key, cursor, f"--tgt-options={options}")

    def sling_keyless(self, source: str, target: str, table: str, key: str, cursor: str | None) -> float:
        """Do the same as sling does unless it is told to make a key."""
        return self._sling(source, target, table, key, cursor)

    def _sling(self, source: str, target: str, table: str, key: str, cursor: str | None, *options: str) -> float:
        how = ["--mode=full-refresh", *options]
        if cursor is not None:
            how = ["--mode=incremental", f"--primary-key={key}", f"--update-key={cursor}", *options]
        binary = next(self.venv.glob("lib/python3*/site-packages/sling_linux_amd64/bin/sling-linux-amd64"))
        where = ["--src-conn=BENCH_SOURCE", f"--src-stream=public.{table}", "--tgt-conn=BENCH_TARGET"]
        with tempfile.TemporaryDirectory(prefix="dbsync bench ") as home:
            settings = {
                "BENCH_SOURCE": f"{source}?sslmode=disable",
                "BENCH_TARGET": f"{target}?sslmode=disable",
                "SLING_HOME_DIR": home,
                "SLING_DISABLE_TELEMETRY": "TRUE",
            }
            started = time.perf_counter()
            _run([str(binary), "run", *where, f"--tgt-object={RIVAL_SCHEMA}.{table}", *how], settings)
            return time.perf_counter() - started

    def dlt(self, source: str, target: str, table: str, key: str, cursor: str | None) -> float:
        """Do the same with dlt; its own process measures, so that neither the interpreter nor the imports count."""
        with tempfile.TemporaryDirectory(prefix="dbsync bench ") as home:
            settings = {
                "BENCH_SOURCE": source,
                "BENCH_TARGET": target,
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "RUNTIME__LOG_LEVEL": "ERROR",
            }
            what = [home, RIVAL_SCHEMA, table, *([] if cursor is None else [key, cursor])]
            return float(_run([str(self.venv / "bin" / "python"), str(_DLT_SCRIPT), *what], settings).split()[-1])


def installed_rivals(say: Callable[[str], None]) -> Rivals | None:
    """Return the environment, made where it is not there yet; None, and a word to `say`, where it cannot be made."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    venv = cache / "dbsync-pipeline" / "rivals"
    note = venv / "requirements.txt"
    wanted = "\n".join(_REQUIREMENTS)
    if note.exists() and note.read_text() == wanted:
        return Rivals(venv)
    say(f"installing {', '.join(_REQUIREMENTS)}")
    try:
        _run([sys.executable, "-m", "venv", "--clear", str(venv)])
        _run([str(venv / "bin" / "pip"), "install", "--quiet", "--only-binary=:all:", *_REQUIREMENTS])
    except (OSError, AssertionError) as error:
        say(f"left out sling and dlt, which cannot be installed here: {error}")
        return None
    note.write_text(wanted)
    return Rivals(venv)


def _run(command: list[str], settings: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it prints."""
    done = subprocess.run(  # noqa: S603 -- built above
        command, env={**os.environ, **(settings or {})}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise AssertionError(f"{Path(command[0]).name} failed: {(done.stderr or done.stdout).strip()[-2_000:]}")
    return done.stdout
