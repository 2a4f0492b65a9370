"""Turns a flax network into the two functions of a workload's model, `init` and `apply`."""

import operator
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from algoperf_jax.workload import Apply, Batch, ModelState, Parameters, RandomKey

Init = Callable[[RandomKey], tuple[Parameters, ModelState]]


def flax_model(
    network: Callable[..., nn.Module],
    example_inputs: Any,
    dropout_rate: float | None = None,
    batch_stats: bool = False,
    inputs_of: Callable[[Batch], Any] = operator.itemgetter("inputs"),
) -> tuple[Init, Apply]:
    """Makes the functions `init` and `apply` of a workload whose model is a flax network.

    A network with dropout is constructed with the argument `deterministic`, and called with the inputs and a dropout
    rate, which may be traced. A network with batch normalization is constructed with the argument
    `use_running_average`; its batch statistics are those of the whole batch, over all devices.

    Args:
      network: constructs the network, with the arguments above.
      example_inputs: tree of arrays or `jax.ShapeDtypeStruct`s like the network's inputs; only shapes and types matter,
        and only where parameters depend on them.
      dropout_rate: the default rate, or None for a network without dropout.
      batch_stats: whether the network has batch normalization.
      inputs_of: selects the network's inputs from a batch.

    Returns:
      The compiled `init`, whose model state is `{'batch_stats': ...}` or None, and `apply`.
    """
    has_dropout = dropout_rate is not None

    def made(*, train: bool, use_running_average: bool) -> nn.Module:
        modes = {"deterministic": not train} if has_dropout else {}
        return network(**modes, **({"use_running_average": use_running_average} if batch_stats else {}))

    @jax.jit  # Compiling drops what only the forward pass needs, which halves the time.
    def init(rng: RandomKey) -> tuple[Parameters, ModelState]:
        inputs = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), example_inputs)
        model = made(train=False, use_running_average=True)
        variables = model.init(rng, inputs, *((0.0,) if has_dropout else ()))
        return variables["params"], {"batch_stats": variables["batch_stats"]} if batch_stats else None

    default_rate = dropout_rate

    def apply(
        params: Parameters,
        model_state: ModelState,
        batch: Batch,
        rng: RandomKey,
        *,
        train: bool,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average: bool | None = None,
    ) -> tuple[Any, ModelState]:
        if use_running_average is None:
            use_running_average = not update_batch_norm
        model = made(train=train, use_running_average=use_running_average)
        inputs, rngs = (inputs_of(batch),), None
        if has_dropout:
            inputs = (*inputs, default_rate if dropout_rate is None else dropout_rate)
            rngs = {"dropout": rng} if train else None
        if not batch_stats:
            return model.apply({"params": params}, *inputs, rngs=rngs), model_state
        variables = {"params": params, "batch_stats": model_state["batch_stats"]}
        logits, updated = model.apply(variables, *inputs, rngs=rngs, mutable=["batch_stats"])
        return logits, {"batch_stats": updated["batch_stats"]} if update_batch_norm else model_state

    return init, apply
