"""How a change is noticed: generated triggers, tombstones, and the objects `dbsync init` installs in the source."""
