"""AdamW in JAX, as the functions of the benchmark: every step is in your hands."""

import functools
from typing import NamedTuple

import jax
import optax

from algoperf_jax.submission import ForwardPassMode


class Hyperparameters(NamedTuple):
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2


def adamw(hyperparameters):
    return optax.adamw(hyperparameters.learning_rate, weight_decay=hyperparameters.weight_decay)


def get_batch_size(workload_name):
    return {"mnist": 128, "ogbg": 512}.get(workload_name, 64)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    # Placed like the parameters: the first step then compiles for all later ones.
    sharding = jax.tree.leaves(model_params)[0].sharding
    return jax.jit(adamw(hyperparameters).init, out_shardings=sharding)(model_params)


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)


@functools.partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3, 4))
def train_step(workload, hyperparameters, params, model_state, optimizer_state, batch, rng):
    def mean_loss(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    gradients, model_state = jax.grad(mean_loss, has_aux=True)(params)
    updates, optimizer_state = adamw(hyperparameters).update(gradients, optimizer_state, params)
    return optimizer_state, optax.apply_updates(params, updates), model_state


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
    return train_step(workload, hyperparameters, current_param_container, model_state, optimizer_state, batch, rng)
