"""A complete submission from an optax factory.

A module that defines

    class Hyperparameters(NamedTuple): ...                       # names and defaults
    def make_optimizer(hyperparameters, workload) -> optax.GradientTransformation

is a training algorithm. `workload` is the view that submissions receive (`step_hint`, `param_shapes`, ...). The engine
adds the rest: one jitted, donated train step over the device mesh. Three hyperparameters, where a module declares them,
belong to that step: `dropout_rate`, `label_smoothing` and `grad_clip` (limit on the global L2 norm of the gradient).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from algoperf_jax.submission import ForwardPassMode

_LOG_PERIOD_STEPS = 100
_FIRST_LOG_PERIOD_STEPS = 10

MakeOptimizer = Callable[[Any, Any], optax.GradientTransformation]


class Functions(NamedTuple):
    """The functions of a submission made from an optax factory."""

    init_optimizer_state: Callable[..., Any]
    update_params: Callable[..., Any]
    data_selection: Callable[..., Any]


def make_functions(make_optimizer: MakeOptimizer) -> Functions:
    """The submission's functions. Optimizer state is `(optax state, train step)`; the step is not checkpointed."""

    def init_optimizer_state(
        workload: Any, params: Any, model_state: Any, hyperparameters: Any, rng: Any
    ) -> tuple[Any, Callable[..., Any]]:
        del model_state, rng
        optimizer = make_optimizer(hyperparameters, workload)
        # Made next to the parameters, so that the first step meets the layouts of all later ones and compiles once.
        sharding = jax.tree.leaves(params)[0].sharding
        state = jax.jit(optimizer.init, out_shardings=sharding)(params)
        return state, _make_train_step(workload, optimizer, hyperparameters)

    return Functions(init_optimizer_state, _update_params, _data_selection)


def _make_train_step(
    workload: Any, optimizer: optax.GradientTransformation, hyperparameters: Any
) -> Callable[..., Any]:
    dropout_rate = getattr(hyperparameters, "dropout_rate", None)
    label_smoothing = getattr(hyperparameters, "label_smoothing", 0.0) or 0.0
    grad_clip = getattr(hyperparameters, "grad_clip", None)

    def train_step(params: Any, model_state: Any, optimizer_state: Any, batch: Any, rng: Any) -> Any:
        def mean_loss(params: Any) -> tuple[jax.Array, Any]:
            logits, new_model_state = workload.model_fn(
                params,
                batch,
                model_state,
                ForwardPassMode.TRAIN,
                rng,
                update_batch_norm=True,
                dropout_rate=dropout_rate,
            )
            loss = workload.loss_fn(
                label_batch=batch["targets"],
                logits_batch=logits,
                mask_batch=batch.get("weights"),
                label_smoothing=label_smoothing,
            )
            return loss["summed"] / loss["n_valid_examples"], new_model_state

        (loss, new_model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        grad_norm = optax.tree.norm(grads)
        if grad_clip is not None:
            scale = jax.numpy.minimum(1.0, grad_clip / (grad_norm + 1e-6))
            grads = jax.tree.map(lambda grad: grad * scale, grads)
        updates, new_optimizer_state = optimizer.update(grads, optimizer_state, params)
        new_params = optax.apply_updates(params, updates)
        return new_params, new_model_state, new_optimizer_state, {"loss": loss, "grad_norm": grad_norm}

    return jax.jit(train_step, donate_argnums=(0, 1, 2))


def _data_selection(workload: Any, input_queue: Any, *rest: Any) -> Any:
    del workload, rest
    return next(input_queue)


def _update_params(
    *,
    workload: Any,
    current_param_container: Any,
    model_state: Any,
    batch: Any,
    optimizer_state: Any,
    global_step: int,
    rng: Any,
    **rest: Any,
) -> tuple[Any, Any, Any]:
    del rest
    state, train_step = optimizer_state
    params, model_state, state, scalars = train_step(current_param_container, model_state, state, batch, rng)
    # More often at first, when a loss tells most.
    period = _LOG_PERIOD_STEPS if global_step >= _LOG_PERIOD_STEPS else _FIRST_LOG_PERIOD_STEPS
    if global_step % period == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics(scalars, global_step)
    return (state, train_step), params, model_state
