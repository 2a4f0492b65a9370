"""Arrays and functions that cross between JAX and PyTorch."""
