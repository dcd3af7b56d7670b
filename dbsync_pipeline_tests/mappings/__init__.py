"""Tests of the mapping files, their models, and the checks against a live source."""
