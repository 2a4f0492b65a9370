"""ogbg-molpcba with a graph network: in which of 128 assays is a molecule active."""

from workloads.ogbg.workload import build as build
