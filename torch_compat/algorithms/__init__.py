"""Ready-made PyTorch training algorithms, one per file; `--config.framework=pytorch` selects them."""
