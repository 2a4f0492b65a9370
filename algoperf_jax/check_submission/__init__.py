"""Checks a submission against the rules of the benchmark: reads it, and calls it for a few steps."""
