"""PyTorch submissions: the workloads' models as PyTorch modules, fed and evaluated by the same engine as JAX ones."""
