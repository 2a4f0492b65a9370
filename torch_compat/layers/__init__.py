"""Layers and functions that PyTorch lacks or defines otherwise than the JAX models."""
