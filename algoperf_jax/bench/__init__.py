"""Measures where the time of a trial goes, and reports it such that two revisions can be compared."""
