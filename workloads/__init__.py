"""The workloads, found by name and imported only when needed.

`load("ogbg")` is the workload on its built-in data, `load("ogbg", data_dir=D)` on the real data prepared in `D`.
`load("ogbg_gelu")` and `load("ogbg", activation="gelu")` are the same variant, by name and by argument. All names are
listed in `workloads/entries.py`; `registered` adds to them.
"""

import contextlib
import dataclasses
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.workload import Workload
from workloads import editions
from workloads.editions import Edition, edition
from workloads.entries import ENTRIES, Entry, Suite, Variant

__all__ = [
    "Edition",
    "Entry",
    "Suite",
    "Variant",
    "base_name",
    "base_names",
    "edition",
    "has_published_target",
    "light_names",
    "load",
    "names",
    "preparation",
    "registered",
    "suite",
    "variant",
    "variant_names",
]

_entries: dict[str, Entry] = dict(ENTRIES)


@contextlib.contextmanager
def registered(name: str, entry: Entry) -> Iterator[None]:
    """Registers a workload while the context is open, such as one of a plugin or of a test.

    Raises:
      ConfigError: the name, or the name of a variant, is taken.
    """
    taken = set(names()) & set(_names_of(name, entry))
    if taken:
        raise ConfigError("name of a workload", value=min(taken), expected="a name that is not registered")
    _entries[name] = entry
    try:
        yield
    finally:
        del _entries[name]


def names() -> tuple[str, ...]:
    """All names that `load` accepts, including variants, in alphabetical order."""
    return tuple(sorted(name for base, entry in _entries.items() for name in _names_of(base, entry)))


def base_names() -> tuple[str, ...]:
    """The names of the workloads without their variants."""
    return tuple(sorted(_entries))


def variant_names(base: str) -> tuple[str, ...]:
    """The names of a workload and of its variants, in the order of the table."""
    return _names_of(base, _entries[base])


def light_names() -> tuple[str, ...]:
    """One name per workload that a CPU can train: its variant for development, if there is one."""
    return tuple(sorted(_light_name(base, entry) for base, entry in _entries.items()))


def base_name(name: str) -> str:
    """The workload that `name` is a variant of, or `name` itself.

    Raises:
      ConfigError: no workload has this name.
    """
    return _found(name)[0]


def variant(name: str) -> Variant:
    """The row of the table with this name.

    Raises:
      ConfigError: no workload has this name.
    """
    base, suffix = _found(name)
    return _entries[base].rows[suffix]


def suite(name: str) -> Suite:
    """The suite that the model of this name belongs to.

    Raises:
      ConfigError: no workload has this name.
    """
    return variant(name).suite


def has_published_target(name: str) -> bool:
    """Whether an edition has targets for the model of this name on real data."""
    return editions.first_edition(name) is not None


def load(name: str, *, data_dir: str | None = None, edition: str | None = None, **arguments: Any) -> Workload:
    """Builds a workload, without reading data yet.

    A model that is not in the table is called `<workload>_custom`. It is never scored, and has no target on real data.

    Args:
      name: a name from `names()`.
      data_dir: folder with prepared data, or None for the built-in data. Each has its own targets and budgets.
      edition: edition of the benchmark, which decides targets, budget and evaluation batches on real data, or None for
        the oldest that has the model.
      **arguments: overrides of the builder's arguments, for variants without a name.

    Raises:
      ConfigError: no workload or edition has this name, or the edition does not have this model on real data.
    """
    base, suffix = _found(name)
    if edition is not None:
        editions.edition(edition)
    entry = _entries[base]
    build = importlib.import_module(entry.module).build
    chosen = {**entry.rows[suffix].arguments, **arguments}
    if arguments:
        name = _named(base, entry, build, chosen)
    published = None if data_dir is None else editions.chosen(name, base, edition)
    workload = build(name, data_dir=data_dir, **chosen)
    if published is None:
        return workload
    # A model that nobody publishes, such as a small one, keeps its own evaluation batches.
    size = published.eval_batch_size if published.goal.has_target else workload.eval_batch_size
    return dataclasses.replace(workload, goal=published.goal, budget=published.budget, eval_batch_size=size)


def preparation(name: str) -> ModuleType:
    """The module that converts the raw data of a workload, or a data set that several share (`workloads.*.prepare`)."""
    shared = (entry for entry in _entries.values() if entry.dataset == name)
    entry = next(shared, None) or _entries[base_name(name)]
    return importlib.import_module(f"{entry.data or entry.module}.prepare")


def _found(name: str) -> tuple[str, str]:
    """The workload that a name belongs to, and the suffix of its variant ("" for none)."""
    for base, entry in _entries.items():
        for suffix in entry.rows:
            if name == _name(base, suffix):
                return base, suffix
    raise ConfigError("unknown workload", value=name, remedy=did_you_mean(name, names()))


def _named(base: str, entry: Entry, build: Callable[..., Workload], arguments: Mapping[str, Any]) -> str:
    """The name of the model with these arguments."""
    wanted = _with_defaults(build, arguments)
    for suffix, row in entry.rows.items():
        if _with_defaults(build, row.arguments) == wanted:
            return _name(base, suffix)
    return f"{base}_custom"


def _with_defaults(build: Callable[..., Workload], arguments: Mapping[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(build).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in {**defaults, **arguments}.items()}


def _name(base: str, suffix: str) -> str:
    return f"{base}_{suffix}" if suffix else base


def _names_of(base: str, entry: Entry) -> tuple[str, ...]:
    return tuple(_name(base, suffix) for suffix in entry.rows)


def _light_name(base: str, entry: Entry) -> str:
    light = [suffix for suffix, row in entry.variants.items() if row.suite == "development"]
    return _name(base, light[0] if light and entry.base.suite != "development" else "")
