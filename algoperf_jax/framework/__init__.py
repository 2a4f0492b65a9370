"""The engine's interface to frameworks, and its implementation for JAX."""
