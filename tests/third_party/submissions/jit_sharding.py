"""A submission in the style of the benchmark's current JAX submissions: a jitted step with shardings and donation.

The step is jitted again at each update, the state is built from `param_shapes`, and the second element of the optimizer
state is a function.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from algoperf import jax_sharding_utils, spec


def get_batch_size(workload_name: str) -> int:
    if workload_name in ("mnist", "tiny", "ogbg"):
        return 32
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    del model_params, model_state, rng
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape_tuple), workload.param_shapes)
    optimizer = optax.adamw(getattr(hyperparameters, "learning_rate", 1e-2), weight_decay=1e-3)
    return optimizer.init(zeros), optimizer.update


def train_step(
    workload: Any,
    update: Any,
    model_state: Any,
    optimizer_state: Any,
    params: Any,
    batch: Any,
    rng: Any,
    grad_clip: Any,
    label_smoothing: Any,
    dropout_rate: Any,
) -> Any:
    def loss_of(params: Any) -> Any:
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=dropout_rate,
        )
        losses = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=label_smoothing,
        )
        return losses["summed"] / losses["n_valid_examples"], new_model_state

    (loss, model_state), gradient = jax.value_and_grad(loss_of, has_aux=True)(params)
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    if grad_clip is not None:
        gradient = jax.tree.map(lambda leaf: leaf * jnp.minimum(1.0, grad_clip / norm), gradient)
    updates, optimizer_state = update(gradient, optimizer_state, params)
    return optimizer_state, optax.apply_updates(params, updates), model_state, loss, norm


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: dict[str, spec.Tensor],
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
    train_state: dict[str, Any] | None = None,
) -> spec.UpdateReturn:
    del current_params_types, loss_type, eval_results, train_state
    state, update = optimizer_state
    replicated = jax_sharding_utils.get_replicate_sharding()
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    step = jax.jit(
        train_step,
        static_argnums=(0, 1),
        donate_argnums=(2, 3, 4),
        in_shardings=(replicated, replicated, replicated, sharded, replicated, replicated, replicated, replicated),
        out_shardings=(replicated,) * 5,
    )
    state, params, model_state, loss, norm = step(
        workload,
        update,
        model_state,
        state,
        current_param_container,
        batch,
        rng,
        getattr(hyperparameters, "grad_clip", None),
        getattr(hyperparameters, "label_smoothing", 0.0),
        0.1,
    )
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss, "grad_norm": norm}, global_step)
    return (state, update), params, model_state


def prepare_for_eval(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, float]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    del workload, current_params_types, hyperparameters, loss_type, eval_results, global_step, rng
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload: spec.Workload,
    input_queue: Any,
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> dict[str, spec.Tensor]:
    return next(input_queue)
