"""The guide to adding a workload, followed in a copy of the project: spirals becomes one of its workloads.

Each step of the guide is a function here, and the page's commands run in the order of the page, with the new name in
place of `mnist`.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests import document_commands
from tests.golden_support import recipe
from tests.test_documents import ROOT

GUIDE = "docs/guides/add-a-workload.md"
WITHOUT = (".git", ".venv", ".pytest_cache", ".ruff_cache", "experiments", "site", "*.egg-info")
BUILD = '''
"""Points on the arms of a spiral, and a network that tells the arms apart."""

import dataclasses

from algoperf_jax.data.sources import PreparedSource
from algoperf_jax.workload import Workload
from workloads.editions import published_facts
from workloads.spirals import one_file
from workloads.spirals.prepare import DATASET

PUBLISHED = published_facts(
    "spirals",
    batch_size=128,
    split_sizes={"train": 20, "eval_train": 10, "validation": 10, "test": 10},
)


def build(name: str, *, data_dir: str | None = None) -> Workload:
    """Builds the workload, on the data prepared in `data_dir` or on the built-in points."""
    builtin = one_file.build(name)
    if data_dir is None:
        return builtin
    source = PreparedSource(data_dir, DATASET)
    return dataclasses.replace(builtin, data=one_file.open_data(source), **vars(PUBLISHED))
'''
PREPARE = '''
"""Spirals: converts `spirals.csv`, with lines of x, y and arm, to the columns of the built-in points."""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np

from algoperf_jax.data.download import Download
from algoperf_jax.data.prepared import Block, DatasetSpec, in_blocks

DATASET = DatasetSpec("spirals", "1.0.0")
DOWNLOADS = (Download("https://example.org/spirals.csv", "spirals.csv", 1, "sha256:" + 64 * "0"),)


def convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]]:
    """The splits: half of the points for training, and a quarter each for validation and test."""
    table = np.loadtxt(folder / "spirals.csv", delimiter=",", dtype=np.float32)
    columns = {"point": table[:, :2], "arm": table[:, 2].astype(np.int32)}
    ends = {"train": slice(0, 20), "validation": slice(20, 30), "test": slice(30, 40)}
    return {split: in_blocks({name: column[rows] for name, column in columns.items()}) for split, rows in ends.items()}
'''
ENTRY = """
    "spirals": Entry(
        "workloads.spirals",
        base=Variant(
            model="2-64-64-2 network",
            examples="two arms of a spiral",
        ),
    ),
}
"""
PUBLISHED = {
    "metric": "accuracy",
    "direction": "max",
    "validation_target": 0.97,
    "test_target": 0.97,
    "budget_sec": 90.0,
    "step_hint": 6_000,
    "eval_period_sec": 3.0,
    "eval_batch_size": 200,
}
CONFIG = '''
"""spirals: a small network that tells the two arms of a spiral apart."""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration; there are no variants."""
    config = base.named("spirals", variant)
    config.submission = "adamw"
    config.hyperparameters = {"learning_rate": 3e-3}
    return config
'''
CASE = """
from tests.workloads.case import Case

CASE = Case()
"""
COMMANDS = """
import json, sys
import pytest
from tests import document_commands

for line in json.loads(sys.argv[1]):
    command, words = document_commands.command(line), document_commands.words(line)
    print("$", line, flush=True)
    if command:
        code = document_commands.module(command.module).main(list(command.arguments))
    else:  # pytest finds its plugins imported
        ignored = "ignore::pytest.PytestAssertRewriteWarning"
        code = pytest.main(["-W", ignored, *words[words.index("pytest") + 1 :]])
    assert code in (None, 0), code
"""
"""Runs the command lines in its argument in one process, which imports JAX once."""


def one_file() -> str:
    """The workload in one file, as the guide shows it."""
    (snippet,) = (
        body for language, body in document_commands.FENCE.findall((ROOT / GUIDE).read_text()) if language == "python"
    )
    return snippet


def write(path: pathlib.Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.lstrip())


def write_the_package(project: pathlib.Path) -> None:
    """Steps 1 to 3."""
    package = project / "workloads/spirals"
    write(package / "one_file.py", one_file())
    write(package / "__init__.py", BUILD)
    write(package / "prepare.py", PREPARE)


def add_the_entry(project: pathlib.Path) -> None:
    """Step 4."""
    path = project / "workloads/entries.py"
    text = path.read_text().rstrip()
    assert text.endswith("\n}"), "the table is the last thing in the file"
    path.write_text(text.removesuffix("\n}") + ENTRY)
    path = project / "scoring/targets/v0.6.json"
    targets = json.loads(path.read_text())
    targets["workloads"]["spirals"] = PUBLISHED
    path.write_text(json.dumps(targets, indent=2))


def write_the_reference_numbers(project: pathlib.Path) -> None:
    """Step 6: those of an implementation in NumPy."""
    rng = np.random.default_rng(0)
    shapes = {f"Dense_{k}": size for k, size in enumerate([(2, 64), (64, 64), (64, 2)])}
    params = {
        name: {"bias": np.empty(size[1], np.float32), "kernel": np.empty(size, np.float32)}
        for name, size in shapes.items()
    }
    params = recipe(params)
    batch = {
        "inputs": rng.normal(size=(4, 2)).astype(np.float32),
        "targets": np.array([0, 1, 1, 0]),
        "weights": np.array([1, 1, 1, 0], np.float32),
    }
    golden = project / "tests/golden"
    np.savez(golden / "spirals.npz", allow_pickle=False, **reference(params, batch))
    paths = {f"{name}/{part}": array for name, layer in params.items() for part, array in layer.items()}
    listing = {
        "workload": "spirals",
        "parameters": [
            [path, list(array.shape), "float32", "BIAS" if array.ndim == 1 else "WEIGHT"]
            for path, array in paths.items()
        ],
        "total_parameter_count": sum(array.size for array in paths.values()),
        "init_statistics_prngkey0": {path: initial_statistics(rng, array.shape) for path, array in paths.items()},
    }
    (golden / "spirals.json").write_text(json.dumps(listing))
    write(project / "tests/workloads/spirals/case.py", CASE)


def reference(params: dict[str, dict[str, np.ndarray]], batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The numbers of `tests/golden/<name>.npz`: logits, losses, gradients and metrics."""
    layers = list(params.values())
    activations, last = [batch["inputs"].astype(np.float64)], None
    for layer in layers:
        last = activations[-1] @ layer["kernel"] + layer["bias"]
        activations.append(np.maximum(last, 0))
    assert last is not None
    shifted = last - last.max(1, keepdims=True)
    log_probabilities = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    hit = np.eye(2)[batch["targets"]]
    weights = batch["weights"].astype(np.float64)

    def loss(smoothing: float, weights: np.ndarray) -> dict[str, np.ndarray]:
        per_example = -weights * (((1 - smoothing) * hit + smoothing / 2) * log_probabilities).sum(1)
        return {"summed": per_example.sum(), "n_valid_examples": weights.sum(), "per_example": per_example}

    # Backwards from the mean loss.
    grads, slope = {}, (np.exp(log_probabilities) - hit) * weights[:, None] / weights.sum()
    for number in (2, 1, 0):
        grads[f"Dense_{number}/kernel"], grads[f"Dense_{number}/bias"] = activations[number].T @ slope, slope.sum(0)
        slope = (slope @ layers[number]["kernel"].T) * (activations[number] > 0)
    correct = weights * (log_probabilities.argmax(1) == batch["targets"])
    losses = {"loss": loss(0, weights), "loss_smooth0.1": loss(0.1, weights), "loss_nomask": loss(0, np.ones(4))}
    return {
        **{f"inputs/{name}": array for name, array in batch.items()},
        "eval/logits": last.astype(np.float32),
        "train/logits": last.astype(np.float32),
        **{f"{name}/{field}": value for name, fields in losses.items() for field, value in fields.items()},
        "grad/path": np.array(list(grads)),
        "grad/l2": np.array([np.linalg.norm(grad) for grad in grads.values()]),
        "grad/sum": np.array([grad.sum() for grad in grads.values()]),
        "eval/metric_sums/accuracy": correct.sum(),
        "eval/metric_sums/loss": losses["loss"]["summed"],
    }


def initial_statistics(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, object]:
    """Statistics of a draw: zeros for biases, for kernels a normal distribution cut off at two deviations."""
    if len(shape) == 1:
        return {"mean": 0.0, "std": 0.0, "min": 0.0, "max": 0.0, "constant": True}
    values = rng.normal(size=20 * np.prod(shape))
    drawn = values[np.abs(values) < 2][: np.prod(shape)] / 0.87962566 / np.sqrt(shape[0])
    statistics = {name: float(getattr(drawn, name)()) for name in ("mean", "std", "min", "max")}
    return {**statistics, "constant": False}


def commands_of_the_guide() -> list[str]:
    """The commands within sentences, which belong to its steps, and then those that check the result."""
    in_blocks = document_commands.shown(ROOT / GUIDE, inline=False)
    first, *checks = in_blocks
    assert first == "python examples/spirals.py"
    in_sentences = [line for line in document_commands.shown(ROOT / GUIDE) if line not in in_blocks]
    steps = [line for line in dict.fromkeys(in_sentences) if "docs.generate" not in line]
    return [re.sub(r"\bmnist\b|\bNAME\b", "spirals", line) for line in [*steps, *checks]]


@pytest.mark.slow
def test_the_guide_adds_a_workload_to_the_project(tmp_path: pathlib.Path) -> None:
    project = tmp_path / "project"
    shutil.copytree(ROOT, project, symlinks=True, ignore=shutil.ignore_patterns(*WITHOUT))
    write_the_package(project)
    add_the_entry(project)
    write(project / "configs/spirals.py", CONFIG)
    write_the_reference_numbers(project)
    (tmp_path / "raw").mkdir()
    table = np.concatenate([np.random.default_rng(1).normal(size=(40, 2)), np.arange(40)[:, None] % 2], axis=1)
    np.savetxt(tmp_path / "raw/spirals.csv", table, delimiter=",")

    lines = commands_of_the_guide()
    assert any("workloads.tables --write" in line for line in lines)
    assert any("tests.test_programs spirals" in line for line in lines)
    shortened = [f"{line} --config.max_steps=2" if "algoperf_jax.main" in line else line for line in lines]
    real = [
        f"python -m algoperf_jax.prepare spirals --data_dir=data --from={tmp_path / 'raw'}",
        "python -m algoperf_jax.main --config=spirals --config.data_dir=data --config.max_steps=2",
    ]
    environment = {name: value for name, value in os.environ.items() if name != "ALGOPERF_GOLDEN_DIR"}
    # The programs run once or twice.
    environment["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, json.dumps([*shortened, *real])],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    assert re.search(r"\d\d passed", done.stdout)
    assert " skipped" not in done.stdout
    assert (
        "`spirals` | development | two arms of a spiral | 2-64-64-2 network | 4,482"
        in (project / "docs/workloads.md").read_text()
    )
    assert "spirals_builtin" in (project / "scoring/targets/builtin.json").read_text()
    assert "spirals" in json.loads((project / "tests/golden/programs.json").read_text())["programs"]
    for name in ("spirals_builtin_jax", "spirals_jax"):
        assert (project / f"experiments/default/adamw/study_1/{name}/trial_1/result.json").is_file()
