"""ogbg-molpcba with a graph network: predicts in which of 128 assays a molecule is active."""

from workloads.ogbg.workload import build as build
