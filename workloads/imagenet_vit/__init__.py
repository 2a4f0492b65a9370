"""ImageNet with a small vision transformer: classifies pictures into 1,000 classes."""

from workloads.imagenet_vit.workload import build as build
