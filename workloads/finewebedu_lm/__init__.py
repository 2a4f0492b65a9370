"""FineWeb-Edu, with a transformer: predict the next token of a text."""

from workloads.finewebedu_lm.workload import build as build
