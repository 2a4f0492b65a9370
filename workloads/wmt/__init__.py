"""WMT, German to English, with a transformer: translate a sentence."""

from workloads.wmt.workload import build as build
