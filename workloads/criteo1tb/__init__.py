"""Criteo 1TB click logs with recommendation models: predict whether an advertisement is clicked on."""

from workloads.criteo1tb.workload import build as build
