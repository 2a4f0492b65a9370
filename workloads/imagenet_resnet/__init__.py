"""ImageNet with a ResNet-50: which of 1,000 classes is in a picture."""

from workloads.imagenet_resnet.workload import build as build
