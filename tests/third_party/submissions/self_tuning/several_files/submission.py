"""A submission of several files that import each other by four names for the same folder."""

import pathlib

import jax
from algoperf import spec
from parts.rates import Rate
from submissions.self_tuning.several_files.parts.rates import Rate as SameRate
from submissions_2031.Team_7.self_tuning.several_files.parts.descent import descend

from .parts.rates import Rate as RelativeRate

SCALE = float((pathlib.Path(__file__).parent / "scale.txt").read_text())


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    assert Rate is SameRate is RelativeRate
    return (jax.numpy.zeros(()), None)


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    # Imported only now, so that the finder must still be active when a step runs.
    from submissions.self_tuning.several_files import late

    def loss_of(params):
        logits, _ = workload.model_fn(params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True)
        losses = workload.loss_fn(batch["targets"], logits, batch["weights"])
        return losses["summed"] / losses["n_valid_examples"]

    gradient = jax.grad(loss_of)(current_param_container)
    params = descend(current_param_container, gradient, Rate(late.RATE * SCALE))
    return (optimizer_state[0] + 1, None), params, model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
