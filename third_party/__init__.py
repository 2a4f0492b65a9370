"""Adapters for code that was written elsewhere: published submissions run as they are."""
