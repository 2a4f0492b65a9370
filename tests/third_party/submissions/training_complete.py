"""A submission that ends training itself."""

import jax
from algoperf import spec


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return None, None


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
    if global_step == 4:
        raise spec.TrainingCompleteError
    params = jax.tree.map(lambda leaf: 0.9 * leaf, current_param_container)
    return optimizer_state, params, model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
