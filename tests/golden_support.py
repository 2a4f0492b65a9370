"""Reference numbers and the parameter recipe that they were made with.

`ALGOPERF_GOLDEN_DIR` names the folder (default: the copies in `tests/golden/`) and `ALGOPERF_GOLDEN_SEED` the seed that
the recipe's parameters were drawn with (default 0), so that the same tests run on another draw.
"""

import functools
import json
import os
import pathlib
import zlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax import parameters

_COPIES = pathlib.Path(__file__).parent / "golden"


def folder() -> pathlib.Path:
    return pathlib.Path(os.environ.get("ALGOPERF_GOLDEN_DIR") or _COPIES)


def seed() -> int:
    return int(os.environ.get("ALGOPERF_GOLDEN_SEED") or 0)


# The reference numbers of some workloads have other names for the same things.
_RENAMED_PREFIXES = {
    "grad/paths": "grad/path",
    "loss/ls0.0/mask/": "loss/",
    "loss/ls0.1/mask/": "loss_smooth0.1/",
    "loss/ls0.0/nomask/": "loss_nomask/",
}
_RENAMED_FACTS = {
    "params": "parameters",
    "num_params": "total_parameter_count",
    "init_stats_PRNGKey0": "init_statistics_prngkey0",
}


@functools.cache
def numbers(name: str) -> Mapping[str, np.ndarray]:
    """The arrays of `<name>.npz`; the test that asks is skipped where there is no such file."""
    path = folder() / f"{name}.npz"
    if not path.exists():
        pytest.skip(f"{path} does not exist; ALGOPERF_GOLDEN_DIR names the folder with all reference numbers")
    with np.load(path, allow_pickle=False) as archive:
        found = {_renamed(key): array for key, array in archive.items()}
    # The copies are rounded, to 1.5e-5, and a variant's have no inputs where they are those of the workload.
    if "eval/logits_times_32768" in found:
        found["eval/logits"] = (found.pop("eval/logits_times_32768") / 32768).astype(np.float32)
    if "train/logits_maxabsdiff_vs_eval" in found and "train/logits" not in found:
        found["train/logits"] = found["eval/logits"]
    if "eval/logits" in found and "inputs/inputs" not in found and name in workloads.names():
        base = numbers(workloads.base_name(name))
        found |= {key: base[key] for key in base if key.startswith("inputs/") or key == "odd/inputs"}
    return found


def _renamed(key: str) -> str:
    for old, new in _RENAMED_PREFIXES.items():
        if key.startswith(old):
            return new + key.removeprefix(old)
    return key


@functools.cache
def listing(name: str) -> dict[str, Any]:
    """The content of `<name>.json`; listings do not depend on the seed, so the copies fill in for absent files."""
    path = folder() / f"{name}.json"
    content: dict[str, Any] = json.loads((path if path.exists() else _COPIES / f"{name}.json").read_text())
    return {_RENAMED_FACTS.get(key, key): value for key, value in content.items()}


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


def assert_gradients_match(grads: Any, golden: Mapping[str, np.ndarray], *, rtol: float = 1e-4) -> None:
    """L2 norm within `rtol` relative, and the sum within what cancellation allows, per array."""
    ours = parameters.paths(grads)
    assert sorted(ours) == sorted(str(path) for path in golden["grad/path"])
    for path, norm, total in zip(golden["grad/path"], golden["grad/l2"], golden["grad/sum"], strict=True):
        grad = np.asarray(ours[str(path)], np.float64)
        np.testing.assert_allclose(np.linalg.norm(grad), norm, rtol=rtol, atol=1e-9, err_msg=str(path))
        assert abs(grad.sum() - total) <= rtol * norm * np.sqrt(grad.size) + 1e-9, path
