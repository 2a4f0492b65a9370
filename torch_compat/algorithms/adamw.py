"""AdamW: Adam (Kingma & Ba 2015) with decoupled weight decay (Loshchilov & Hutter 2019).

The algorithm of `algoperf_jax/algorithms/adamw.py`; everything except the optimizer is as in `nadamw.py`.
"""

from typing import Any

import torch

from torch_compat.algorithms import nadamw
from torch_compat.algorithms.nadamw import Hyperparameters as Hyperparameters
from torch_compat.algorithms.nadamw import data_selection as data_selection
from torch_compat.algorithms.nadamw import update_params as update_params


def init_optimizer_state(
    workload: Any, model_params: torch.nn.Module, model_state: Any, hyperparameters: Hyperparameters, rng: Any
) -> dict[str, Any]:
    """Makes the optimizer and its schedule."""
    del model_state, rng
    return nadamw.make_state(torch.optim.AdamW, workload, model_params, hyperparameters)
