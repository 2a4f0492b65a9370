"""What checkpoints keep of a PyTorch submission."""
