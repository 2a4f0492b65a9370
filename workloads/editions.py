"""The editions of AlgoPerf: what they publish about each workload on real data.

`scoring/targets/<edition>.json` is the only place of these numbers; scoring reads the same files. An edition also
decides which workloads there are, and the precision of matrix products.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from algoperf_jax.errors import ConfigError, nearest
from algoperf_jax.workload import Budget, Facts, Goal

_FOLDER = pathlib.Path(__file__).parents[1] / "scoring" / "targets"


@dataclasses.dataclass(frozen=True)
class Published:
    """What an edition publishes about a model on real data.

    Attributes:
      goal: metric and targets.
      budget: time, period of evaluations and step hint.
      eval_batch_size: number of examples per evaluation batch.
    """

    goal: Goal
    budget: Budget
    eval_batch_size: int


@dataclasses.dataclass(frozen=True)
class Edition:
    """An edition of the benchmark.

    Attributes:
      name: as in `config.edition`.
      precision: of matrix products, as in `config.precision`, unless that is set.
      published: name of a workload or variant -> what the edition publishes about it; no other real data are its own.
    """

    name: str
    precision: str
    published: Mapping[str, Published]


@functools.cache
def editions() -> Mapping[str, Edition]:
    """The editions that one can train for, by name, the oldest first."""
    found = {}
    for path in sorted(_FOLDER.glob("*.json"), key=lambda path: path.stem):
        content = json.loads(path.read_text())
        # Older versions, and targets on built-in data, can only be scored.
        if "precision" in content:
            rows = {name: _published(row) for name, row in content["workloads"].items() if _is_complete(row)}
            found[path.stem] = Edition(path.stem, content["precision"], MappingProxyType(rows))
    return MappingProxyType(found)


def edition(name: str) -> Edition:
    """The edition of this name.

    Raises:
      ConfigError: there is none.
    """
    if name not in editions():
        guess = nearest(name, editions())
        raise ConfigError(
            "config.edition",
            value=name,
            expected=f"one of {', '.join(editions())}",
            remedy=f"Did you mean {guess!r}?" if guess else None,
        )
    return editions()[name]


def first_edition(name: str) -> Edition | None:
    """The oldest edition that publishes something about the model `name`, or None."""
    return next((found for found in editions().values() if name in found.published), None)


def published(name: str) -> Published:
    """What the oldest edition with the workload `name` publishes about it.

    Raises:
      ValueError: no edition has such a workload.
    """
    if (found := first_edition(name)) is None:
        raise ValueError(f"{_FOLDER}: no file says all about {name!r}")
    return found.published[name]


def published_facts(name: str, *, batch_size: int, split_sizes: Mapping[str, int]) -> Facts:
    """Facts of a workload on real data in the oldest edition that has it, but for the targets.

    Every variant has targets of its own, and every edition a budget: `workloads.load` fills in both.

    Args:
      name: registry name of the workload.
      batch_size: training batch size for algorithms that do not choose one.
      split_sizes: nominal number of examples of each split.
    """
    found = published(name)
    return Facts(
        goal=Goal(found.goal.metric, found.goal.direction),
        budget=found.budget,
        batch_size=batch_size,
        eval_batch_size=found.eval_batch_size,
        split_sizes=split_sizes,
    )


def chosen(name: str, base: str, wanted: str | None) -> Published | None:
    """What is published about a model on real data; about its workload if it is a model that nobody publishes.

    Args:
      name: registry name of the model.
      base: registry name of its workload.
      wanted: name of an edition, or None for the oldest that has the model.

    Returns:
      None for a workload that no edition has. What is returned for a model that nobody publishes has no targets, and
      the batches of another model.

    Raises:
      ConfigError: there is no such edition, or only another one has the model.
    """
    listed = name if first_edition(name) is not None else base
    first = first_edition(listed)
    found = first if wanted is None else edition(wanted)
    if first is None or found is None:
        return None
    if listed not in found.published:
        raise ConfigError(
            f"workload on real data in the edition {found.name}",
            value=name,
            expected=f"one of {', '.join(sorted(found.published))}",
            remedy=f"Set --config.edition={first.name}, which has it.",
        )
    row = found.published[listed]
    if listed == name:
        return row
    return dataclasses.replace(row, goal=Goal(row.goal.metric, row.goal.direction))


def _is_complete(row: Mapping[str, Any]) -> bool:
    return None not in (row["budget_sec"], row.get("eval_period_sec"))


def _published(row: Mapping[str, Any]) -> Published:
    direction = "maximize" if row["direction"] == "max" else "minimize"
    return Published(
        goal=Goal(row["metric"], direction, row["validation_target"], row["test_target"]),
        budget=Budget(row["budget_sec"], row["eval_period_sec"], row["step_hint"]),
        eval_batch_size=row["eval_batch_size"],
    )
