"""Input pipelines: endless shuffled index streams, vectorized batching, prepared files, and the feed to the devices."""
