"""ImageNet: turns JPEG files into batches."""
