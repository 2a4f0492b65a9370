"""Sets how PyTorch multiplies float32 tensors, as `algoperf_jax/devices/precision.py` does for JAX.

On NVIDIA GPUs `tf32` and `bf16` both mean TF32, as in JAX. On CPUs `bf16` lets oneDNN round to bfloat16 where the
processor has instructions for it, which JAX does not.
"""

from collections.abc import Mapping

import torch

_MATRIX_PRODUCTS: Mapping[str, str] = {"highest": "highest", "tf32": "high", "bf16": "medium"}


def set_for_torch(precision: str) -> None:
    """Sets the precision of PyTorch's float32 products in this process from now on; evaluation uses JAX."""
    torch.set_float32_matmul_precision(_MATRIX_PRODUCTS[precision])
    torch.backends.cudnn.allow_tf32 = precision != "highest"
