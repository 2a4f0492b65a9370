"""The outputs of a trial: run directory, logs, checkpoints, progress and results."""
