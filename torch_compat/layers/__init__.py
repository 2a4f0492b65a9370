"""Layers and functions that PyTorch lacks or defines differently from the JAX models."""
