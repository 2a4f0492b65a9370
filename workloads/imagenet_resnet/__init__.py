"""ImageNet with a ResNet-50: classifies pictures into 1,000 classes."""

from workloads.imagenet_resnet.workload import build as build
