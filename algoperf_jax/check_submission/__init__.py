"""Checks a submission against the benchmark's rules: reads its source, and calls it for a few steps."""
