"""A submission in the style of the benchmark's first years: `jax.pmap`, the package's earlier name, names removed from
JAX.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from algorithmic_efficiency import spec
from flax import jax_utils

OPTIMIZER = optax.chain(optax.trace(0.9), optax.scale(-0.1))


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = jax.tree_map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)
    return jax_utils.replicate(OPTIMIZER.init(zeros)), OPTIMIZER.update


@functools.partial(
    jax.pmap,
    axis_name="batch",
    in_axes=(None, None, 0, 0, 0, 0, 0),
    static_broadcasted_argnums=(0, 1),
    donate_argnums=(2, 3, 4),
)
def pmapped_step(workload, update, model_state, optimizer_state, params, batch, rng):
    def loss_of(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        losses = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return losses["summed"], (losses["n_valid_examples"], new_state)

    (summed, (count, model_state)), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
    summed, count, gradient = jax.lax.psum((summed, count, gradient), axis_name="batch")
    gradient = jax.tree_map(lambda leaf: jnp.clip(leaf / count, a_min=-1.0, a_max=1.0), gradient)
    updates, optimizer_state = update(gradient, optimizer_state, params)
    return optimizer_state, optax.apply_updates(params, updates), model_state, summed / count


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
    state, update = optimizer_state
    rngs = jax.random.split(rng, jax.local_device_count())
    state, params, model_state, loss = pmapped_step(
        workload, update, model_state, state, current_param_container, batch, rngs
    )
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss[0]}, global_step)
    return (state, update), params, model_state


def data_selection(
    workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
):
    return next(input_queue)
