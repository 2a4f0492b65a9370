"""What checkpoints save of a submission, for all frameworks."""
