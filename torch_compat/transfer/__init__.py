"""Moves arrays and functions between JAX and PyTorch."""
