"""Starting, stopping and crashing: what must stay, and what must not stay behind."""

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import clickhouse_connect  # noqa: TID251  # reads what a server has kept.
import psycopg
import pytest

from dbsync_pipeline.embedded.clickhouse import EmbeddedClickHouse
from dbsync_pipeline.embedded.postgres import EmbeddedPostgres
from dbsync_pipeline.embedded.services import embedded_services
from dbsync_pipeline.errors import EmbeddedServiceError

type Service = EmbeddedPostgres | EmbeddedClickHouse
