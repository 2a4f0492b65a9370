"""Studies: which hyperparameters are tried, in which trials, and what came of it."""
