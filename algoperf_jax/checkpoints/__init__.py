"""What checkpoints keep of a submission, whatever its framework."""
