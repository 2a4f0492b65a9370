"""Evaluates an average: `prepare_for_eval` returns it and keeps the trained parameters in the optimizer state.

What it returns replaces the parameters of the run, so the next update restores the trained ones.
"""

import functools

import jax
import jax.numpy as jnp
from algoperf import spec

RATE, DECAY = 0.1, 0.9


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    state = {
        "average": jax.tree.map(jnp.copy, model_params),
        "trained": jax.tree.map(jnp.copy, model_params),
        "swapped": jnp.zeros((), bool),
    }
    return state, None


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def step(workload, params, state, batch, rng):
    params = jax.tree.map(lambda own, kept: jnp.where(state["swapped"], kept, own), params, state["trained"])

    def loss_of(params):
        logits, _ = workload.model_fn(params, batch, None, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True)
        losses = workload.loss_fn(batch["targets"], logits, batch["weights"])
        return losses["summed"] / losses["n_valid_examples"]

    params = jax.tree.map(lambda p, g: p - RATE * g, params, jax.grad(loss_of)(params))
    average = jax.tree.map(lambda a, p: DECAY * a + (1 - DECAY) * p, state["average"], params)
    state = {"average": average, "trained": state["trained"], "swapped": jnp.zeros((), bool)}
    return state, params


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
    state, params = step(workload, current_param_container, optimizer_state[0], batch, rng)
    return (state, None), params, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    state, _ = optimizer_state
    swapped = {"average": state["average"], "trained": current_param_container, "swapped": jnp.ones((), bool)}
    return (swapped, None), jax.tree.map(jnp.copy, state["average"]), model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
