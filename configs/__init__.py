"""Configurations: one file per workload, all made from `configs.base`."""
