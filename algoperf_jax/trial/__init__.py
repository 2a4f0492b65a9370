"""The timed loop of a trial and the types it needs. Nothing here imports JAX, a framework or a file format."""
