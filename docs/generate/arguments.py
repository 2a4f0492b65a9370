"""The table of arguments that the functions of a submission are called with."""

from collections.abc import Mapping

from algoperf_jax.submission.calls import (
    TRAIN_STATE,
    UPDATE_ARGUMENTS,
    InitArguments,
    PrepareArguments,
    SelectionArguments,
)

PARAMETERS = "current_param_container"
MEANINGS: Mapping[str, str] = {
    "workload": "the [workload](workload-view.md), read-only",
    "input_queue": "an iterator over training batches",
    "optimizer_state": "what you returned last",
    PARAMETERS: "the parameters: a tree of JAX arrays, or a `torch.nn.Module`",
    "current_params_types": "a tree of `ParameterType`, the role of each parameter",
    "model_state": "what the model carries besides parameters, such as batch statistics, or None",
    "hyperparameters": "a named tuple of the point that is tried, or None",
    "batch": "what `data_selection` returned",
    "loss_type": "a `LossType`",
    "eval_results": "the evaluations so far: (step, metrics)",
    "global_step": "the number of steps before this one",
    "rng": "a random key for this call",
    TRAIN_STATE: "facts about the trial so far, such as times on the clock; only if you declare this parameter",
}
"""Argument -> what it is."""
_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "init_optimizer_state": InitArguments._fields,
    "data_selection": SelectionArguments._fields,
    "update_params": (*UPDATE_ARGUMENTS, TRAIN_STATE),
    "prepare_for_eval": PrepareArguments._fields,
}
_SHORT = {"params": PARAMETERS}
"""Names of positional arguments -> what they are called by name."""


def table() -> str:
    """Every argument with its meaning; positional ones are numbered, those by keyword marked."""
    taken = {name: [_SHORT.get(one, one) for one in fields] for name, fields in _FUNCTIONS.items()}
    unknown = {argument for arguments in taken.values() for argument in arguments} ^ set(MEANINGS)
    assert not unknown, f"arguments without a meaning, or the other way round: {unknown}"
    rows = [
        f"| argument | what it is | {' | '.join(f'`{name}`' for name in taken)} |",
        "|---|---|" + "---|" * len(taken),
    ]
    for argument, meaning in MEANINGS.items():
        rows.append(f"| `{argument}` | {meaning} | {' | '.join(_cell(argument, name, taken) for name in taken)} |")
    return "\n".join(rows) + "\n"


def _cell(argument: str, function: str, taken: Mapping[str, list[str]]) -> str:
    if argument not in taken[function]:
        return ""
    by_keyword = _FUNCTIONS[function][: len(PrepareArguments._fields)] == PrepareArguments._fields
    return "by name" if by_keyword else str(1 + taken[function].index(argument))
