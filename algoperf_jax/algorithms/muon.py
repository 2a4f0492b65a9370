"""Muon: orthogonalized momentum for hidden matrices, Adam for everything else (Jordan et al. 2024; Liu et al. 2025).

Matrices are all arrays with two or more axes except embeddings and the output layer. Kernels with more axes are
reshaped to matrices [inputs, outputs]. As in Liu et al., steps have the root mean square of Adam's, so that both parts
share one learning rate, and weight decay is decoupled. Linear warmup, then cosine decay to zero at the workload's step
hint. `optax.contrib` runs the Newton-Schulz iteration in the parameters' type, where the authors use bfloat16, and uses
Nesterov momentum in Adam too. `muon.json` is a small search space with learning rates of AdamW's magnitude, as in Liu
et al.
"""

from typing import Any, NamedTuple

import jax
import optax
from optax.contrib import MuonDimensionNumbers

from algoperf_jax.schedules import warmup_cosine


class Hyperparameters(NamedTuple):
    """Names and defaults.

    Attributes:
      learning_rate: peak learning rate of both parts.
      one_minus_beta1: 1 - decay rate of the matrices' momentum.
      adam_one_minus_beta1: 1 - decay rate of Adam's first moment.
      beta2: decay rate of Adam's second moment.
      epsilon: added to the root of Adam's second moment and to the norm of matrices.
      weight_decay: decoupled, multiplied by the learning rate.
      warmup_factor: fraction of the step hint spent on warmup.
      dropout_rate: the workload's default when None.
      label_smoothing: see the workload's loss.
      grad_clip: limit on the gradient's global norm, or None.
    """

    learning_rate: float = 2e-3
    one_minus_beta1: float = 0.05
    adam_one_minus_beta1: float = 0.1
    beta2: float = 0.95
    epsilon: float = 1e-8
    weight_decay: float = 0.1
    warmup_factor: float = 0.05
    dropout_rate: float | None = None
    label_smoothing: float = 0.0
    grad_clip: float | None = None


def make_optimizer(hyperparameters: Hyperparameters, workload: Any) -> optax.GradientTransformation:
    """The optimizer for a workload."""
    return optax.contrib.muon(
        warmup_cosine(hyperparameters.learning_rate, hyperparameters.warmup_factor, workload.step_hint),
        beta=1.0 - hyperparameters.one_minus_beta1,
        eps=hyperparameters.epsilon,
        weight_decay=hyperparameters.weight_decay,
        adam_b1=1.0 - hyperparameters.adam_one_minus_beta1,
        adam_b2=hyperparameters.beta2,
        adam_weight_decay=hyperparameters.weight_decay,
        muon_weight_dimension_numbers=lambda params: matrices(params, workload),
        consistent_rms=0.2,
    )


def matrices(params: Any, workload: Any) -> Any:
    """The input and output axes of each array that Muon treats as a matrix; None for arrays that Adam updates."""

    def of(path: tuple[Any, ...], leaf: Any) -> MuonDimensionNumbers | None:
        names = [str(key.key) for key in path]
        is_embedding = any("embed" in name.lower() for name in names)
        if leaf.ndim < 2 or is_embedding or workload.is_output_params(names[0]):
            return None
        # Attention projects one axis to heads and features; in all other kernels the last axis is the output.
        is_projection = len(names) > 1 and names[-2].lower() in ("query", "key", "value")
        summed = 1 if is_projection else leaf.ndim - 1
        return MuonDimensionNumbers(tuple(range(summed)), tuple(range(summed, leaf.ndim)))

    return jax.tree_util.tree_map_with_path(of, params)
