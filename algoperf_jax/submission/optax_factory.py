"""Makes a complete submission from an optax factory.

A module that defines

    class Hyperparameters(NamedTuple): ...                       # names and defaults
    def make_optimizer(hyperparameters, workload) -> optax.GradientTransformation

is a training algorithm. `workload` is the view that submissions receive (`step_hint`, `param_shapes`, ...). The engine
adds the rest: a jitted train step over the device mesh, with donated buffers. Three hyperparameters, if a module
declares them, belong to that step: `dropout_rate`, `label_smoothing` and `grad_clip` (limit on the global L2 norm of
the gradient).

An optimizer whose `update` accepts them as keywords also gets `value` (or `loss`) and `grad`, the loss and gradient at
the parameters, and `value_fn(params)` (or `obj_fn`) and `grad_fn(params)`, which compute them at other parameters, for
the same batch and dropout, without changing the model state. These are the names that optax's optimizers use. An
optimizer composed of others, such as an `optax.chain`, gets the keywords that all of them accept.

A module may also define

    def evaluation_params(optimizer_state, params) -> params     # pure; the optimizer's own state

if the parameters to evaluate differ from those it trains, for example an average.
"""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jax.sharding import NamedSharding, PartitionSpec

from algoperf_jax.errors import SubmissionError
from algoperf_jax.submission.calls import FACTORY
from algoperf_jax.submission.interface import ForwardPassMode

_LOG_PERIOD_STEPS = 100
_FIRST_LOG_PERIOD_STEPS = 10
_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
"""Python's error about an unknown keyword argument."""
_UNSUPPORTED: Mapping[type, tuple[str, str]] = {
    optax.LookaheadState: ("optax.lookahead", "trains pairs of parameters, fast and slow ones"),
    optax.contrib.DifferentiallyPrivateAggregateState: (
        "optax.contrib.differentially_private_aggregate",
        "takes the gradient of each example",
    ),
}
"""Optimizers that the train step does not support, by the type of their state: name and reason."""

MakeOptimizer = Callable[[Any, Any], optax.GradientTransformation]
EvaluationParams = Callable[[Any, Any], Any]


class Functions(NamedTuple):
    """The functions of a submission made from an optax factory; `prepare_for_eval` is None if it is not needed."""

    init_optimizer_state: Callable[..., Any]
    update_params: Callable[..., Any]
    data_selection: Callable[..., Any]
    prepare_for_eval: Callable[..., Any] | None


class SpareParams(NamedTuple):
    """The parameters not in use: during an evaluation those for training, otherwise a buffer for those to evaluate.

    `holds_training_params` is a bool on the host, so that neither a step nor the host must read an array.
    """

    params: Any
    holds_training_params: bool


def make_functions(make_optimizer: MakeOptimizer, evaluation_params: EvaluationParams | None = None) -> Functions:
    """Makes the submission's functions.

    The optimizer state is `(optax state, train step, SpareParams or None)`; the step is not checkpointed.

    Args:
      make_optimizer: the module's function of this name.
      evaluation_params: the module's function of this name, or None.
    """

    def init_optimizer_state(
        workload: Any, params: Any, model_state: Any, hyperparameters: Any, rng: Any
    ) -> tuple[Any, Callable[..., Any], SpareParams | None]:
        del rng
        optimizer = make_optimizer(hyperparameters, workload)

        def init(params: Any) -> Any:
            # A state that starts as a copy of the parameters must not share their memory, which the first step donates.
            # See findings/optax_states_share_parameters.sh.
            return jax.tree.map(jnp.copy, optimizer.init(params))

        shapes = jax.eval_shape(init, params)
        _check_trainable(shapes)
        # Placed like the parameters, so that the first step has the layouts of all later ones and compiles only once.
        state = jax.jit(init, out_shardings=_state_shardings(shapes, params))(params)
        spare = None
        if evaluation_params is not None:
            zeros = jax.jit(optax.tree.zeros_like, out_shardings=_shardings(params))(params)
            spare = SpareParams(zeros, holds_training_params=False)
        shardings = (*_shardings((params, model_state)), _result_shardings(state, params))
        return state, _make_train_step(workload, optimizer, hyperparameters, shardings), spare

    prepare_for_eval = None if evaluation_params is None else _make_prepare_for_eval(evaluation_params)
    return Functions(init_optimizer_state, _update_params, _data_selection, prepare_for_eval)


def _check_trainable(state: Any) -> None:
    """Checks that the train step supports an optimizer; else it would fail with an unrelated error, or misbehave.

    Raises:
      SubmissionError: the state belongs to an optimizer that contains one of `_UNSUPPORTED`.
    """
    for node in jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, tuple(_UNSUPPORTED))):
        for kind, (name, why) in _UNSUPPORTED.items():
            if isinstance(node, kind):
                raise SubmissionError(
                    f"{FACTORY} makes {name}, which {why}",
                    expected="an optimizer that turns the mean gradient of a batch into updates of the parameters",
                    remedy="Write the submission as the five functions, which can train in any way.",
                )


def _shardings(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.sharding, tree)


def _state_shardings(state: Any, params: Any) -> Any:
    """The sharding of each array of an optimizer state: that of its parameter, or else replicated.

    optax keeps moments in trees with the structure of the parameters, so an array belongs to a parameter if its path
    ends with the parameter's path and it has the parameter's shape.
    """
    by_path = dict(jax.tree_util.tree_flatten_with_path(params)[0])
    elsewhere = _on_all_devices(params)

    def sharding(path: tuple[Any, ...], leaf: Any) -> Any:
        for start in range(len(path) + 1):
            parameter = by_path.get(path[start:])
            if parameter is not None and parameter.shape == leaf.shape:
                return parameter.sharding
        return elsewhere

    return jax.tree_util.tree_map_with_path(sharding, state)


def _result_shardings(state: Any, params: Any) -> Any:
    """The shardings of a new state, which are those of the old one.

    optax's measurements are not placed before the first step; they are replicated.
    """

    def sharding(node: Any) -> Any:
        return _on_all_devices(params) if isinstance(node, optax.MonitorState) else node.sharding

    return jax.tree.map(sharding, state, is_leaf=lambda node: isinstance(node, optax.MonitorState))


def _on_all_devices(params: Any) -> Any:
    first = jax.tree.leaves(params)[0].sharding
    return NamedSharding(first.mesh, PartitionSpec()) if isinstance(first, NamedSharding) else first


def _make_train_step(
    workload: Any, optimizer: optax.GradientTransformation, hyperparameters: Any, shardings: tuple[Any, Any, Any]
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

        def clipped(grads: Any, norm: jax.Array) -> Any:
            if grad_clip is None:
                return grads
            scale = jnp.minimum(1.0, grad_clip / (norm + 1e-6))
            return jax.tree.map(lambda grad: grad * scale, grads)

        def value_fn(params: Any, *, loss: Any = None, obj_fn: Any = None, grad_fn: Any = None) -> jax.Array:
            # optax's line searches pass on all other keywords, and fail if this function does not accept them.
            # See findings/optax_line_search_arguments.sh.
            del loss, obj_fn, grad_fn
            return mean_loss(params)[0]

        def grad_fn(params: Any, *rest: Any) -> Any:
            del rest  # optax also passes an iteration number
            grads = jax.grad(value_fn)(params)
            return clipped(grads, optax.tree.norm(grads))

        (loss, new_model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
        grad_norm = optax.tree.norm(grads)
        grads = clipped(grads, grad_norm)
        offered = {"value": loss, "loss": loss, "grad": grads}
        offered |= {"value_fn": value_fn, "obj_fn": value_fn, "grad_fn": grad_fn}
        updates, new_optimizer_state = _update(optimizer.update, grads, optimizer_state, params, offered)
        new_params = optax.apply_updates(params, updates)
        return new_params, new_model_state, new_optimizer_state, {"loss": loss, "grad_norm": grad_norm}

    # Results keep the shardings of their arguments; otherwise the compiler might split a state over the devices.
    return jax.jit(train_step, donate_argnums=(0, 1, 2), out_shardings=(*shardings, None))


def _update(
    update: Callable[..., Any], grads: Any, state: Any, params: Any, offered: Mapping[str, Any]
) -> tuple[Any, Any]:
    """Calls an optimizer's update with the keyword arguments that it and its parts accept."""
    taken = _taken(update, offered)
    while True:
        try:
            return update(grads, state, params, **taken)
        except TypeError as error:
            # Wrappers such as `optax.chain` accept every keyword, but pass it to parts that may not. Their signatures
            # are not accessible, so try the call; this happens during tracing, where a failed call has no effect.
            refused = _UNEXPECTED.search(str(error))
            if refused is None or taken.pop(refused[1], None) is None:
                raise


def _taken(function: Callable[..., Any], offered: Mapping[str, Any]) -> dict[str, Any]:
    """The offered keyword arguments that a function accepts."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(offered)
    return {name: value for name, value in offered.items() if name in parameters}


def _make_prepare_for_eval(evaluation_params: EvaluationParams) -> Callable[..., Any]:
    def into(params: Any, optimizer_state: Any, room: Any) -> Any:
        del room  # donated: only its memory is used
        return jax.tree.map(jnp.copy, evaluation_params(optimizer_state, params))

    @functools.lru_cache(maxsize=1)
    def compiled(structure: Any, shardings: tuple[Any, ...]) -> Callable[..., Any]:
        places = jax.tree.unflatten(structure, shardings)
        return jax.jit(into, donate_argnums=2, keep_unused=True, out_shardings=places)

    def prepare_for_eval(
        *, current_param_container: Any, model_state: Any, optimizer_state: Any, **rest: Any
    ) -> tuple[Any, Any, Any]:
        """Replaces the training parameters by those to evaluate; the next step swaps them back."""
        del rest
        state, train_step, spare = optimizer_state
        if spare.holds_training_params:
            return optimizer_state, current_param_container, model_state
        leaves, structure = jax.tree.flatten(_shardings(current_param_container))
        compute = compiled(structure, tuple(leaves))
        params = compute(current_param_container, state, spare.params)
        return (state, train_step, SpareParams(current_param_container, True)), params, model_state

    return prepare_for_eval


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
    params = current_param_container
    state, train_step, spare = optimizer_state
    if spare is not None and spare.holds_training_params:
        params, spare = spare.params, SpareParams(params, holds_training_params=False)
    params, model_state, state, scalars = train_step(params, model_state, state, batch, rng)
    # More often at first, when the loss changes most.
    period = _LOG_PERIOD_STEPS if global_step >= _LOG_PERIOD_STEPS else _FIRST_LOG_PERIOD_STEPS
    if global_step % period == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics(scalars, global_step)
    return (state, train_step, spare), params, model_state
