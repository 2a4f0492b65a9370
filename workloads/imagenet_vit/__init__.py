"""ImageNet with a small vision transformer: which of 1,000 classes is in a picture."""

from workloads.imagenet_vit.workload import build as build
