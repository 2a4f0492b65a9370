"""The twins, one module per workload; each has `build(**model_arguments) -> Twin`."""
