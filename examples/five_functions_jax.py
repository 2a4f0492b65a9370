"""AdamW in JAX, as the benchmark's functions: every step is in your hands."""

import functools

import jax
import optax

from algoperf_jax.submission import ForwardPassMode

OPTIMIZER = optax.adamw(2e-3)


def get_batch_size(workload_name):
    return {"mnist": 128}.get(workload_name, 64)


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return OPTIMIZER.init(model_params)


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)


@functools.partial(jax.jit, static_argnums=0, donate_argnums=(1, 2, 3))
def train_step(workload, params, model_state, optimizer_state, batch, rng):
    def mean_loss(params):
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    gradients, model_state = jax.grad(mean_loss, has_aux=True)(params)
    updates, optimizer_state = OPTIMIZER.update(gradients, optimizer_state, params)
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
    return train_step(workload, current_param_container, model_state, optimizer_state, batch, rng)
