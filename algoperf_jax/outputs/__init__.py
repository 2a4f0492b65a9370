"""What a trial writes and shows: run directory, logs, checkpoints, progress, results."""
