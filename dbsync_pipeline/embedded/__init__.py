"""Postgres and ClickHouse for one machine with nothing installed: what the demo, `dbsync dev` and the tests run on."""
