"""The names of the benchmark's interface: functions of a submission, and what they are called with."""

import inspect
from collections.abc import Mapping

REQUIRED = ("get_batch_size", "init_optimizer_state", "update_params", "data_selection")
OPTIONAL = ("prepare_for_eval", "get_eval_batch_size")
FACTORY = "make_optimizer"
"""What a submission may define instead: a factory of an optax optimizer."""
UPDATE_ARGUMENTS = (
    "workload",
    "current_param_container",
    "current_params_types",
    "model_state",
    "hyperparameters",
    "batch",
    "loss_type",
    "optimizer_state",
    "eval_results",
    "global_step",
    "rng",
)
"""What `update_params` is given, by keyword; `train_state` is added where it is taken."""
PREPARE_ARGUMENTS = tuple(name for name in UPDATE_ARGUMENTS if name != "batch")
"""What `prepare_for_eval` is given, by keyword."""
CALLS: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "get_batch_size": (1, ()),
    "get_eval_batch_size": (1, ()),
    "init_optimizer_state": (5, ()),
    "data_selection": (8, ()),
    "update_params": (0, UPDATE_ARGUMENTS),
    "prepare_for_eval": (0, PREPARE_ARGUMENTS),
    FACTORY: (2, ()),
}
"""How many arguments each function is given by position, and which by name."""


def why_not_callable(function: str, signature: inspect.Signature) -> tuple[str, str] | None:
    """Why a function of this signature cannot be called as it will be, and what it should take; None if it can."""
    positional, keywords = CALLS[function]
    extra = ("train_state",) if function == "update_params" and "train_state" in signature.parameters else ()
    try:
        signature.bind(*[None] * positional, **dict.fromkeys((*keywords, *extra)))
    except TypeError as error:
        how = f"the keyword arguments {', '.join(keywords)}" if keywords else f"{positional} positional arguments"
        return str(error), how
    return None
