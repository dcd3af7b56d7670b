"""Measures what the project promises, each thing beside its rival, on one machine."""
