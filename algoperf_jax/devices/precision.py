"""How float32 arrays are multiplied, in matrix products and convolutions: the same for every submission.

| `config.precision` | JAX              | NVIDIA GPUs      | TPUs                      | CPUs             |
|--------------------|------------------|------------------|---------------------------|------------------|
| `highest`          | `highest`        | float32          | six passes in bfloat16    | float32          |
| `tf32`             | `tensorfloat32`  | TF32             | three passes in bfloat16  | float32          |
| `bf16`             | `bfloat16`       | TF32             | one pass in bfloat16      | float32          |

Sums are float32 everywhere. `highest` is what the reference numbers of the models were computed with; the others trade
digits of the factors (TF32 keeps 10 bits, bfloat16 7) for speed where the hardware has units for it. What a submission
casts to another type itself is multiplied in that type. PyTorch is set alike by `torch_compat/precision.py`.
"""

from collections.abc import Mapping

import jax

PRECISIONS: Mapping[str, str] = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
"""Value of `config.precision` -> value of JAX's own setting."""


def set_for_jax(precision: str) -> None:
    """Makes JAX multiply float32 arrays so, in this process and from now on."""
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
