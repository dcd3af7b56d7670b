"""Proves that a copy equals its source."""
