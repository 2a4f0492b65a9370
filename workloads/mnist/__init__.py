"""MNIST digits with a one-hidden-layer network: the small workload for development."""

from workloads.mnist.workload import build as build
