"""A language model on FineWeb-Edu: a decoder-only transformer."""
