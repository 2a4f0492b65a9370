"""CIFAR-10 with a ResNet-18: the medium-sized workload for development."""

from workloads.cifar.workload import build as build
