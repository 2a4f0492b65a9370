"""Reference numbers and the parameter recipe that they were made with.

Arrays are in `.npz` files, listings in `.json` files or, where they are long, in `.listing.npz` files.
`python -m tests.golden_listings FILE` prints a listing, and
`python -c "import numpy; print(dict(numpy.load('FILE')))"` arrays.

Numbers of more than 100 kB are not copied to `tests/golden/`: tests that need them are skipped unless the folder is
named.

`ALGOPERF_GOLDEN_DIR` names the folder (default: the copies in `tests/golden/`) and `ALGOPERF_GOLDEN_SEED` the seed that
the recipe's parameters were drawn with (default 0), so that the same tests run on another draw.
"""

import contextlib
import functools
import json
import os
import pathlib
import types
import zlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax import parameters
from tests import golden_layouts, golden_listings

# Variants that differ from another in initial values only.
_SAME_NUMBERS = {"imagenet_resnet_large_bn_init": "imagenet_resnet"}
# Workloads whose inputs are those of another, whose copy has them.
_SAME_INPUTS = {"librispeech_deepspeech": "librispeech_conformer"}
# Models whose reference numbers and listings come in an edition with fewer embeddings, for the common tests.
_FEWER_EMBEDDINGS = {
    "criteo1tb": "criteo1tb_test",
    **{f"criteo1tb_{variant}": f"criteo1tb_{variant}_vocab65536" for variant in ("embed_init", "layernorm", "resnet")},
}
_COPIES = pathlib.Path(__file__).parent / "golden"

COMPILE_QUICKLY: dict[str, Any] = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}
"""Compiler options of programs that run once or twice: optimizing them takes longer than they do.

Without optimization, XLA's older emitter of loops takes a third of the time; with it, it can take three times as long.
"""
COMPILE_FLOAT64: dict[str, Any] = {"xla_backend_optimization_level": 1}
"""The same for large convolutions in float64, whose loops XLA writes itself: without optimization they take minutes."""


@contextlib.contextmanager
def compiling_quickly(module: types.ModuleType) -> Iterator[None]:
    """Compiles quickly what this module compiles with `jax.jit`."""
    quick = functools.partial(jax.jit, compiler_options=COMPILE_QUICKLY)
    with mock.patch.object(module, "jax", types.SimpleNamespace(**{**vars(jax), "jit": quick})):
        yield


def folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("ALGOPERF_GOLDEN_DIR") or _COPIES)


def seed() -> int:
    return int(os.environ.get("ALGOPERF_GOLDEN_SEED") or 0)


@functools.cache
def numbers(name: str, *, full: bool = False) -> Mapping[str, np.ndarray]:
    """The arrays of `<name>.npz`; the test that asks is skipped where there is no such file.

    Models with many embeddings have reference numbers with fewer, `Case.reference_arguments`, unless all are asked for.
    """
    edition = name if full else _FEWER_EMBEDDINGS.get(name, name)
    path = folder() / f"{_SAME_NUMBERS.get(edition, edition)}.npz"
    if not path.exists():
        pytest.skip(f"{path} does not exist; ALGOPERF_GOLDEN_DIR names the folder with all reference numbers")
    with np.load(path, allow_pickle=False) as archive:
        found = golden_layouts.numbers(dict(archive))
    # The copies of a variant have no inputs where they are those of the workload.
    if name in workloads.names() and not any(key.startswith("inputs/") for key in found):
        base = workloads.base_name(name)
        base = numbers(_SAME_INPUTS.get(base, base))
        found |= {key: base[key] for key in base if key.startswith("inputs/") or key == "odd/inputs"}
    return found


@functools.cache
def listing(name: str, *, full: bool = False) -> dict[str, Any]:
    """The content of `<name>.json`, or of `<name>.listing.npz` (see `golden_listings`).

    The edition is that of `numbers`. Listings do not depend on the seed, so the copies fill in for absent files.
    """
    name = name if full else _FEWER_EMBEDDINGS.get(name, name)
    for place in (folder(), _COPIES):
        if (path := place / f"{name}.json").exists():
            return golden_layouts.listing(json.loads(path.read_text()))
        if (path := place / f"{name}{golden_listings.SUFFIX}").exists():
            return golden_layouts.listing(golden_listings.load(path))
    raise FileNotFoundError(f"{_COPIES / name}: neither .json nor {golden_listings.SUFFIX}")


def recipe(tree: Any, *, prefix: str = "") -> Any:
    """Fills a tree of arrays (or shapes) with the recipe's numbers; `prefix` is hashed in front of each path."""

    def fill(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        names = [str(key.key) for key in path]
        hashed = prefix + "/".join(names)
        noise = np.random.default_rng([seed(), zlib.crc32(hashed.encode())]).standard_normal(leaf.shape, np.float32)
        tenth = np.float32(0.1)
        if prefix:
            return tenth * noise if names[-1] == "mean" else np.float32(1) + tenth * np.abs(noise)
        if noise.ndim >= 2:
            return noise / np.sqrt(np.float32(np.prod(leaf.shape[:-1])))
        if names[-1] == "scale":
            return np.float32(1) + tenth * noise
        return tenth * noise

    return jax.tree_util.tree_map_with_path(fill, tree)


def recipe_state(workload: Any) -> tuple[Any, Any]:
    """Recipe parameters and model state for a workload, as NumPy trees."""
    params, model_state = jax.eval_shape(workload.init, jax.ShapeDtypeStruct((2,), np.uint32))
    if model_state is not None:
        model_state = {"batch_stats": recipe(model_state["batch_stats"], prefix="batch_stats/")}
    return recipe(params), model_state


def assert_close(actual: Any, expected: Any, *, rtol: float = 1e-4, atol: float = 2e-5) -> None:
    """Largest difference relative to the largest expected magnitude, as float32 sums demand."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, (actual.shape, expected.shape)
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=atol)


def assert_gradients_match(
    grads: Any, golden: Mapping[str, np.ndarray], *, rtol: float = 1e-4, only_rounding: Collection[str] = ()
) -> None:
    """L2 norm within `rtol` relative, and the sum within what cancellation allows, per array.

    Gradients that are 0 but for rounding have to be small.
    """
    ours = parameters.paths(grads)
    assert sorted(ours) == sorted(str(path) for path in golden["grad/path"])
    for path, norm, total in zip(golden["grad/path"], golden["grad/l2"], golden["grad/sum"], strict=True):
        grad = np.asarray(ours[str(path)], np.float64)
        # A bias of keys moves all scores of a query alike, so that its gradient is nothing but rounding.
        atol = 1e-6 if str(path).endswith("/key/bias") else 1e-4 if path in only_rounding else 1e-9
        np.testing.assert_allclose(np.linalg.norm(grad), norm, rtol=rtol, atol=atol, err_msg=str(path))
        assert abs(grad.sum() - total) <= rtol * norm * np.sqrt(grad.size) + atol * np.sqrt(grad.size), path


def assert_statistics_match(stats: Mapping[str, Any], golden: Mapping[str, np.ndarray], *, rtol: float) -> None:
    """New batch statistics by path: the sum of squares within `rtol` relative, and the sum within what that allows."""
    paths, totals, squares = (golden.get(f"train/new_batch_stats/{column}", ()) for column in ("path", "sum", "sumsq"))
    assert sorted(stats) == sorted(str(path) for path in paths)
    for path, total, square in zip(paths, totals, squares, strict=True):
        values = np.asarray(stats[str(path)], np.float64)
        np.testing.assert_allclose((values**2).sum(), square, rtol=rtol, err_msg=str(path))
        # Means cancel in the sum; the sum of squares bounds by how much.
        assert abs(values.sum() - total) < rtol * np.sqrt(values.size * square), path
