"""Translation from German to English with a Transformer."""
