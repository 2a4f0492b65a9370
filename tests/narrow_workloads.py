"""The large workloads under their own names, but narrow, so that compiling and training them takes moments."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import pytest

import workloads
from algoperf_jax.workload import EVALUATION_SPLITS, Facts
from workloads.fastmri import builtin as fastmri_builtin
from workloads.fastmri import workload as fastmri
from workloads.imagenet_resnet import workload as resnet
from workloads.imagenet_vit import workload as vit
from workloads.mnist import builtin as mnist_builtin
from workloads.ogbg import builtin as ogbg_builtin

NARROW_GRAPHS = {"latent_dim": 8, "hidden_dims": (8,), "num_message_passing_steps": 1}
_UNOPTIMIZED = "jax_disable_most_optimizations"


@contextlib.contextmanager
def narrow() -> Iterator[None]:
    """Narrows ogbg with its variants, and the variant `small` of the workloads on images, while the context is open.

    These and mnist have few examples. Programs are not optimized, because that would take longer than they do.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(workloads._entries, "ogbg", _narrow_ogbg())
        patch.setattr(ogbg_builtin, "FACTS", _few_examples(ogbg_builtin.FACTS, batch_size=32))
        # What other tests have drawn stays.
        patch.setattr(ogbg_builtin, "_columns", functools.cache(ogbg_builtin._columns.__wrapped__))
        patch.setitem(fastmri.SIZES, "small", fastmri.Size(image_size=32, num_pool_layers=1, num_channels=4))
        patch.setattr(fastmri_builtin, "SMALL_FACTS", _few_examples(fastmri_builtin.SMALL_FACTS))
        patch.setattr(mnist_builtin, "FACTS", _few_examples(mnist_builtin.FACTS))
        patch.setitem(resnet.SIZES, "small", _small(resnet.SIZES, width=4, stage_sizes=(1,)))
        patch.setitem(vit.SIZES, "small", _small(vit.SIZES, width=12, depth=1))
        for module in (resnet, vit):
            patch.setitem(module.BUILTIN, "small", _few_examples(module.BUILTIN["small"]))
        jax.config.update(_UNOPTIMIZED, True)
        try:
            yield
        finally:
            jax.config.update(_UNOPTIMIZED, False)
            jax.clear_caches()  # later tests compare numbers


def _narrow_ogbg() -> workloads.Entry:
    entry = workloads.ENTRIES["ogbg"]

    def narrowed(row: workloads.Variant) -> workloads.Variant:
        return dataclasses.replace(row, arguments={**NARROW_GRAPHS, **row.arguments})

    variants = {suffix: narrowed(row) for suffix, row in entry.variants.items()}
    return dataclasses.replace(entry, base=narrowed(entry.base), variants=variants)


def _small(sizes: Any, **changes: Any) -> Any:
    return dataclasses.replace(sizes["small"], image_size=32, **changes)


def _few_examples(facts: Facts, batch_size: int = 8) -> Facts:
    sizes = {"train": 4 * batch_size, **dict.fromkeys(EVALUATION_SPLITS, batch_size)}
    return dataclasses.replace(facts, batch_size=batch_size, eval_batch_size=batch_size, split_sizes=sizes)
