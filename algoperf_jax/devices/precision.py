"""The precision of float32 matrix products and convolutions, the same for every submission.

| `config.precision` | JAX              | NVIDIA GPUs      | TPUs                      | CPUs             |
|--------------------|------------------|------------------|---------------------------|------------------|
| `highest`          | `highest`        | float32          | six passes in bfloat16    | float32          |
| `tf32`             | `tensorfloat32`  | TF32             | three passes in bfloat16  | float32          |
| `bf16`             | `bfloat16`       | TF32             | one pass in bfloat16      | float32          |

Sums are float32 everywhere. The models' reference numbers were computed with `highest`; the other settings trade
precision of the factors (TF32 has 10 fraction bits, bfloat16 has 7) for speed on hardware that supports it. Arrays that
a submission itself casts to another type are multiplied in that type. `torch_compat/precision.py` does the same for
PyTorch.
"""

from collections.abc import Mapping
from typing import Any

import jax

import workloads

PRECISIONS: Mapping[str, str] = {"highest": "highest", "tf32": "tensorfloat32", "bf16": "bfloat16"}
"""Value of `config.precision` -> value of JAX's setting."""


def chosen_precision(config: Any) -> str:
    """The precision of a configured run: its own, or else that of its edition.

    Raises:
      ConfigError: there is no such edition.
    """
    return config.precision or workloads.edition(config.edition).precision


def set_for_jax(precision: str) -> None:
    """Sets JAX's precision for float32 products in this process."""
    jax.config.update("jax_default_matmul_precision", PRECISIONS[precision])
