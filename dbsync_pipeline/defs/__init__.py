"""The Dagster layer: shows the pipeline as assets, starts its workers from sensors, and records what they did."""
