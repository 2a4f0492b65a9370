"""Studies: their search spaces, trials and results."""
