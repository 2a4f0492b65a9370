"""The timed loop of one trial and what it works with. Nothing here imports JAX, a framework or a file format."""
