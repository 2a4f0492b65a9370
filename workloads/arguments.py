"""What the `build` functions of workloads do with their arguments: check names, and choose the facts for the data."""

import dataclasses
from collections.abc import Collection, Mapping

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.workload import Facts


def check_choices(workload: str, **chosen: tuple[str, Collection[str]]) -> None:
    """Checks arguments that are names: `check_choices("ogbg", activation=(activation, ACTIVATIONS))`.

    Args:
      workload: registry name, for the error.
      **chosen: argument -> its value, and the values that it may have.

    Raises:
      ConfigError: a value is not among its choices.
    """
    for what, (value, choices) in chosen.items():
        if value not in choices:
            raise ConfigError(f"{what} of {workload}", value=value, remedy=did_you_mean(value, choices))


def chosen_facts(builtin: Mapping[str, Facts], published: Facts, size: str, data_dir: str | None) -> Facts:
    """The facts for the data in use: of the built-in data for each size, or the published ones.

    On real data, a model of another size than `full` keeps the small batches that it has on built-in data.
    """
    if data_dir is None:
        return builtin[size]
    if size == "full":
        return published
    small = builtin[size]
    return dataclasses.replace(published, batch_size=small.batch_size, eval_batch_size=small.eval_batch_size)
