"""The command line on PyTorch submissions for the tiny workload, which has no twin."""

import pathlib
from collections.abc import Callable

import pytest

from tests.algoperf_jax.conftest import command as command
from tests.algoperf_jax.conftest import compilation_cache as compilation_cache
from tests.algoperf_jax.conftest import submission_writer

# Plain gradient descent; code appended to it replaces its functions.
FIVE_FUNCTIONS = """
import torch
from algoperf_jax.submission import ForwardPassMode, TrainingCompleteError

def get_batch_size(workload_name):
    return 32

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(params.parameters(), lr=1.0)}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    optimizer_state["optimizer"].zero_grad()
    logits, model_state = workload.model_fn(
        current_param_container, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True)
    loss = workload.loss_fn(batch["targets"], logits, batch["weights"])
    mean = loss["summed"] / loss["n_valid_examples"]
    mean.backward()
    optimizer_state["optimizer"].step()
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": mean}, global_step)
    return optimizer_state, current_param_container, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""


@pytest.fixture
def submission(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Writes a submission file: the five functions, and replacements of some of them."""
    return submission_writer(tmp_path, FIVE_FUNCTIONS, "descent.py")


@pytest.fixture
def trial(tmp_path: pathlib.Path) -> pathlib.Path:
    """The directory of trial 1 of `descent.py` on the tiny workload."""
    return tmp_path / "default" / "descent" / "study_1" / "tiny_builtin_pytorch" / "trial_1"
