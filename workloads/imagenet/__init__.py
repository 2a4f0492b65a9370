"""ImageNet: images from JPEG files to batches."""
