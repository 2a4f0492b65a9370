"""The twins, one module per workload; each has `build(workload) -> TorchModel`."""
