"""Delivers one batch: extract, load, checkpoint; and the cycle around it. Nothing here knows Dagster."""
