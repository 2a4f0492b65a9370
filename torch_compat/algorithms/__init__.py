"""Ready-made PyTorch training algorithms, each one file; `--config.framework=pytorch` picks them."""
