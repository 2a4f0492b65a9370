"""Adapters that let published submissions run unchanged."""
