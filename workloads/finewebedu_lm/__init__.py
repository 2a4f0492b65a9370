"""A language model on FineWeb-Edu: a decoder-only transformer that predicts the next token."""

from workloads.finewebedu_lm.workload import build as build
