"""Two processes started by torchrun: one global batch, one model, one clock, one log."""

import itertools
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import psutil
import pytest

from tests import narrow_run, one_device
from tests.algoperf_jax.test_resume import final_record

ROOT = pathlib.Path(__file__).parents[2]
TIME_LIMIT_SEC = 240
# Records which examples each process gets; without momentum, the optimizers cannot drift apart.
RECORDING = """
import json, os, pathlib, zlib
import torch
from algoperf_jax.submission.interface import ForwardPassMode
from torch_compat.layers.collectives import sum_over_processes

def get_batch_size(workload_name):
    return {"narrow": 24, "cifar": 8}.get(workload_name, 32)

def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.SGD(params.parameters(), lr=0.01), "wrapper": type(params).__name__}

def update_params(workload, current_param_container, batch, optimizer_state, global_step, rng, **rest):
    rank = os.environ.get("RANK", "0")
    targets = batch["targets"].numpy()
    with pathlib.Path(os.environ["RECORDS"], f"rank_{rank}.jsonl").open("a") as file:
        examples = [zlib.crc32(row.tobytes()) for row in targets.reshape(len(targets), -1)]
        file.write(json.dumps([global_step, examples, optimizer_state["wrapper"]]) + "\\n")
    optimizer_state["optimizer"].zero_grad()
    logits, _ = workload.model_fn(current_param_container, batch, None, ForwardPassMode.TRAIN, rng, True, 0.0)
    loss = workload.loss_fn(batch["targets"], logits, batch["weights"])
    mean = sum_over_processes(loss["summed"]) / sum_over_processes(loss["n_valid_examples"])
    mean.backward()
    optimizer_state["optimizer"].step()
    workload.metrics_logger.append_scalar_metrics({"loss": mean}, global_step)
    return optimizer_state, current_param_container, None

def data_selection(workload, input_queue, *rest):
    return next(input_queue)
"""


def run(count: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={count}", "--standalone"]
    launcher = [*launcher, "-m"] if count > 1 else [sys.executable, "-m"]
    return subprocess.run(
        [*launcher, *arguments],
        cwd=ROOT,
        env=one_device.unoptimized(OMP_NUM_THREADS="1", **environment),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_SEC,
        check=False,
    )


def train(folder: pathlib.Path, name: str, count: int) -> tuple[list[Any], dict[str, Any], pathlib.Path]:
    """The records of each process, the last evaluation and the trial's directory."""
    submission = folder / "recording.py"
    folder.mkdir()
    submission.write_text(RECORDING)
    # Two batches of each split, one of them partly padding.
    # Two batches of each split, one of them partly padding.
    sizes = {narrow_run.NAME: 24, "mnist": 6, "criteo1tb_small": 60_000}
    files = {narrow_run.NAME: "tests/narrow_config.py", "criteo1tb_small": "criteo1tb:small"}
    done = run(
        count,
        "tests.narrow_run",
        f"--config={files.get(name, name)}",
        f"--config.submission={submission}",
        f"--config.experiment_dir={folder}",
        "--config.max_steps=3",
        f"--config.eval_batch_size={sizes[name]}",
        RECORDS=str(folder),
    )
    assert done.returncode == 0, done.stderr
    trial = folder / f"default/recording/study_1/{name}_builtin_pytorch/trial_1"
    records = [
        [json.loads(line) for line in (folder / f"rank_{rank}.jsonl").read_text().splitlines()] for rank in range(count)
    ]
    events = [json.loads(line) for line in (trial / "events.jsonl").read_text().splitlines()]
    return records, {"events": events, "output": done.stdout}, trial


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mnist", "criteo1tb_small", narrow_run.NAME])
def test_two_processes_train_as_one(name: str, tmp_path: pathlib.Path) -> None:
    (alone,), one, _ = train(tmp_path / "one", name, 1)
    together, two, trial = train(tmp_path / "two", name, 2)

    assert {record[2] for records in together for record in records} == {"DistributedDataParallel"}
    for step, examples, wrapper in alone:
        assert wrapper != "DistributedDataParallel"
        shares = [records[step][1] for records in together]
        assert [len(share) for share in shares] == [len(examples) // 2] * 2
        assert list(itertools.chain(*shares)) == examples

    losses = [
        [event["values"]["loss"] for event in found["events"] if event["kind"] == "train"] for found in (one, two)
    ]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    judged = [
        next(event["values"] for event in found["events"] if event["kind"] == "evaluation") for found in (one, two)
    ]
    for metric in ("train/loss", "validation/loss", "test/loss", "validation/num_examples"):
        assert judged[1][metric] == pytest.approx(judged[0][metric], rel=1e-5), metric

    assert [event["kind"] for event in two["events"]] == [event["kind"] for event in one["events"]]
    assert two["output"].count("starting on 2 x cpu") == 1
    assert json.loads((trial / "result.json").read_text())["steps"] == 3
    assert json.loads((trial / "meta_data_0.json").read_text())["devices"]["count"] == 2


@pytest.mark.slow
def test_killed_processes_resume_bit_for_bit(tmp_path: pathlib.Path) -> None:
    arguments = ["--config.framework=pytorch", "--config.hyperparameters.dropout_rate=0.1"]

    def start(folder: pathlib.Path) -> subprocess.CompletedProcess[str]:
        return run(2, "tests.algoperf_jax.killable_run", str(folder), *arguments)

    whole, cut = (tmp_path / name / "pytorch" for name in ("whole", "cut"))
    assert "ended: training_complete" in start(whole).stdout

    launcher = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]
    process = subprocess.Popen(
        [*launcher, "-m", "tests.algoperf_jax.killable_run", str(cut), *arguments],
        cwd=ROOT,
        env=one_device.unoptimized(OMP_NUM_THREADS="1"),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    evaluations = (line for line in process.stdout if re.search(r"step \d+: evaluation:", line))
    assert all(next(evaluations, None) for _ in range(2)), "the first one's checkpoint is written before the second"
    for worker in [*psutil.Process(process.pid).children(recursive=True), process]:
        worker.kill()
    process.communicate(timeout=TIME_LIMIT_SEC)

    done = start(cut)
    assert "resuming from step" in done.stdout, done.stderr
    assert "ended: training_complete" in done.stdout
    ours, theirs = final_record(cut), final_record(whole)
    # When several processes compare their clocks, and so when they evaluate, depends on the time of recent steps.
    for part in ("step", "values", "arrays", "checksums", "data_position", "rng"):
        assert ours[part] == theirs[part], part
    assert ours["values"]["processes"] == 2
    judged = [
        {metric: value for metric, value in record["history"][-1][1].items() if "/" in metric}
        for record in (ours, theirs)
    ]
    assert judged[0] == judged[1]
