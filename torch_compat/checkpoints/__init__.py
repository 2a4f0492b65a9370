"""What checkpoints save of a PyTorch submission."""
