"""The PyTorch twins of the models, one module per workload, each with `build(workload) -> TorchModel`."""
