"""Runs a few steps of a submission on every workload, to show its author in minutes what fails."""
