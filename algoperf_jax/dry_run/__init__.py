"""Trying a submission on every workload for a few steps, so that its author learns in minutes what breaks."""
