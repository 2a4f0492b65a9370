"""The workloads, found by name and imported only when asked for.

`load("ogbg")` is the workload on its built-in data, `load("ogbg", data_dir=D)` on the real data prepared in `D`,
`load("ogbg_gelu")` and `load("ogbg", activation="gelu")` the same variant by name and by argument.
"""

import dataclasses
import importlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from algoperf_jax.errors import ConfigError, did_you_mean
from algoperf_jax.workload import Workload


@dataclasses.dataclass(frozen=True)
class Entry:
    """Where a workload is built.

    Attributes:
      module: package with `build(name, *, data_dir, **arguments) -> Workload`.
      data: package that has the module `prepare`, where that is another one.
      variants: variant suffix -> arguments of `build`.
    """

    module: str
    data: str | None = None
    variants: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)


_ENTRIES: Mapping[str, Entry] = {
    "cifar": Entry("workloads.cifar"),
    "fastmri": Entry(
        "workloads.fastmri",
        variants={
            "layernorm": {"normalization": "layer"},
            "model_size": {"num_pool_layers": 3, "num_channels": 64},
            "small": {"num_pool_layers": 2, "num_channels": 12, "image_size": 64},
            "tanh": {"activation": "tanh"},
        },
    ),
    "imagenet_resnet": Entry(
        "workloads.imagenet_resnet",
        data="workloads.imagenet",
        variants={
            "gelu": {"activation": "gelu"},
            "large_bn_init": {"bn_init_scale": 8.0},
            "silu": {"activation": "silu"},
            "small": {"size": "small"},
        },
    ),
    "imagenet_vit": Entry(
        "workloads.imagenet_vit",
        data="workloads.imagenet",
        variants={
            "glu": {"use_glu": True},
            "map": {"use_map": True},
            "post_ln": {"use_post_layer_norm": True},
            "small": {"size": "small"},
        },
    ),
    "mnist": Entry("workloads.mnist"),
    "ogbg": Entry(
        "workloads.ogbg",
        variants={
            "gelu": {"activation": "gelu"},
            "silu": {"activation": "silu"},
            "model_size": {"hidden_dims": (256, 256), "latent_dim": 128, "num_message_passing_steps": 3},
        },
    ),
}


def names() -> tuple[str, ...]:
    """All names that `load` takes, variants included, in alphabetical order."""
    return tuple(sorted([*_ENTRIES, *(f"{base}_{v}" for base, entry in _ENTRIES.items() for v in entry.variants)]))


def base_names() -> tuple[str, ...]:
    """The names of the workloads without their variants."""
    return tuple(sorted(_ENTRIES))


def light_names() -> tuple[str, ...]:
    """One name for each workload that a CPU can train: the variant `small` where there is one."""
    return tuple(sorted(f"{base}_small" if "small" in entry.variants else base for base, entry in _ENTRIES.items()))


def base_name(name: str) -> str:
    """The workload that `name` is a variant of, or `name` itself.

    Raises:
      ConfigError: no workload has this name.
    """
    for base, entry in _ENTRIES.items():
        if name == base or name in (f"{base}_{variant}" for variant in entry.variants):
            return base
    raise ConfigError("unknown workload", value=name, remedy=did_you_mean(name, names()))


def load(name: str, *, data_dir: str | None = None, **arguments: Any) -> Workload:
    """Builds a workload; reads no data yet.

    Args:
      name: a name from `names()`.
      data_dir: folder with prepared data, or None for the built-in data. The two have targets and budgets of their own.
      **arguments: overrides of the builder's arguments, for variants without a name.

    Raises:
      ConfigError: no workload has this name.
    """
    entry, variant = _found(name)
    chosen = {**entry.variants.get(variant, {}), **arguments}
    return importlib.import_module(entry.module).build(name, data_dir=data_dir, **chosen)


def preparation(name: str) -> ModuleType:
    """The module that converts a workload's raw data (`workloads.<name>.prepare`)."""
    entry, _ = _found(name)
    return importlib.import_module(f"{entry.data or entry.module}.prepare")


def _found(name: str) -> tuple[Entry, str]:
    """The entry of a workload, and the suffix of the variant ("" for none)."""
    base = base_name(name)
    return _ENTRIES[base], name.removeprefix(base).removeprefix("_")
