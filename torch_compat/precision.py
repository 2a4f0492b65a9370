"""How PyTorch multiplies float32 tensors: as `algoperf_jax/devices/precision.py` has it for JAX.

On NVIDIA GPUs `tf32` and `bf16` both mean TF32, as in JAX. On CPUs `bf16` lets oneDNN round to bfloat16 where the
processor has instructions for it, which JAX does not.
"""

from collections.abc import Mapping

import torch

_MATRIX_PRODUCTS: Mapping[str, str] = {"highest": "highest", "tf32": "high", "bf16": "medium"}


def set_for_torch(precision: str) -> None:
    """Makes PyTorch multiply float32 tensors so, in this process and from now on; evaluation is up to JAX."""
    torch.set_float32_matmul_precision(_MATRIX_PRODUCTS[precision])
    torch.backends.cudnn.allow_tf32 = precision != "highest"
