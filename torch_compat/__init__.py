"""PyTorch submissions: the workloads' models as PyTorch modules, fed and judged by the same engine as JAX ones."""
