"""How many copies of a large embedding table the host needs at once, in each part of a trial.

Usage: python -m tests.memory_of_large_tables [--mebibytes=512] [--framework=jax] [--phase=PHASE]

Each phase of a trial with NadamW runs on a model that is little but its table, in JAX and as a PyTorch module with four
chunks of the table. The unit is the size of the table. `kept` counts the parameters, the optimizer state and, in
PyTorch, the gradients that exist during or after the phase in any case, and in `restore` those of the new state too;
`further` is what the peak of the resident memory is above that, programs and arrays of other sizes included. Training
and resuming are processes of their own.
"""

import argparse
import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests import one_device

WIDTH = 128
_MEBIBYTE = 2**20
Row = tuple[str, int, float]
_STATUS = pathlib.Path("/proc/self/status")


def main(arguments: list[str]) -> None:
    """Prints a table of the phases."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=512, help="of the table; the host needs six times that")
    parser.add_argument("--framework", choices=("jax", "pytorch"), help="only this one")
    parser.add_argument("--part", choices=("train", "resume"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        for row in phases(options.framework, options.part, options.mebibytes, options.folder):
            print(json.dumps(row), flush=True)
        return
    print("| framework | phase | kept | peak | further |\n|---|---|---|---|---|")
    for framework in [options.framework] if options.framework else ["jax", "pytorch"]:
        for name, kept, peak in measured_phases(framework, options.mebibytes):
            print(f"| {framework} | {name} | {kept} | {peak:.2f} | {peak - kept:.2f} |", flush=True)


def measured_phases(framework: str, mebibytes: int) -> Iterator[Row]:
    """The phases of training, and then of resuming, each in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("train", "resume"):
            command = [sys.executable, "-m", "tests.memory_of_large_tables", f"--mebibytes={mebibytes}"]
            command += [f"--framework={framework}", f"--part={part}", f"--folder={folder}"]
            with subprocess.Popen(command, env=one_device.environment(), stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                yield from (tuple(json.loads(line)) for line in process.stdout)
            assert process.returncode == 0


def phases(framework: str, part: str, mebibytes: int, folder: pathlib.Path) -> Iterator[Row]:
    """Name, tables kept and peak in tables of each phase, as it ends."""
    from algoperf_jax.outputs.checkpoint import Checkpoints
    from algoperf_jax.trial.run_state import RunState

    table_bytes = mebibytes * _MEBIBYTE
    made = parts(framework, table_bytes // (4 * WIDTH))
    base = memory("VmRSS")

    def measured(name: str, kept: int, work: Callable[[], Any]) -> tuple[Any, Row]:
        time.sleep(1)  # the threads of XLA free the memory of a program only after its results are there
        forget_peak()
        result = work()
        return result, (name, kept, (memory("VmHWM") - base) / table_bytes)

    checkpoints = Checkpoints(folder, made.backend, keep=1)
    params, row = measured("parameters", 1, lambda: made.backend.initialize(made.keys.model)[0])
    yield row
    init = functools.partial(made.calls.init_optimizer_state, params, None, made.keys.optimizer)
    optimizer_state, row = measured("optimizer state", 3 if framework == "jax" else 1, init)
    yield row
    state = RunState(params, None, optimizer_state, rng=made.keys.loop)
    del params, optimizer_state, init
    if part == "resume":
        # In PyTorch, a new state has no moments, and gradients are saved.
        _, row = measured("restore", 6 if framework == "jax" else 5, lambda: checkpoints.restore(state, print))
        yield row
        return
    feed = made.make_feed()
    kept = 3 if framework == "jax" else 4
    for name in ("first step", "second step"):
        state, row = measured(name, kept, functools.partial(step, made, state, next(feed)))
        yield row
    for name in ("first evaluation", "second evaluation"):
        _, row = measured(name, kept, lambda: made.backend.evaluate(state.params, None, made.keys.data))
        yield row
    fill(state, table_bytes)
    _, row = measured("save", kept, lambda: checkpoints.save(state, {}))
    yield row


def fill(state: Any, table_bytes: int) -> None:
    """Gives the moments numbers that cannot be compressed, as training does in the course of time."""
    import jax
    import numpy as np
    import torch

    rng = np.random.default_rng(0)
    tensors = jax.tree.leaves(
        (list(state.optimizer_state["optimizer"].state.values()), [p.grad for p in state.params.parameters()])
        if isinstance(state.optimizer_state, dict)
        else jax.tree.leaves(state.optimizer_state[0])
    )
    for leaf in tensors:
        if leaf.nbytes * 8 >= table_bytes:
            # Arrays of JAX, which nothing else refers to here, are written in place.
            tensor = leaf if isinstance(leaf, torch.Tensor) else torch.from_dlpack(leaf)
            flat = tensor.detach().numpy().reshape(-1)
            for block in np.split(flat, range(2**20, flat.size, 2**20)):
                rng.standard_normal(dtype=np.float32, out=block)


def step(made: Any, state: Any, batch: Any) -> Any:
    """The state after one step, finished."""
    optimizer_state, params, model_state = made.calls.update_params(
        state, batch, state.step, made.keys.loop, eval_results=[], train_state={}
    )
    made.backend.wait_for((optimizer_state, params, model_state))
    return dataclasses.replace(
        state, params=params, model_state=model_state, optimizer_state=optimizer_state, step=state.step + 1
    )


def parts(framework: str, num_rows: int) -> Any:
    """The parts of a trial with a table of this many rows."""
    from algoperf_jax.assembly import assemble
    from algoperf_jax.framework.framework import load_framework
    from algoperf_jax.submission.load import load_submission
    from algoperf_jax.submission.locate import locate
    from configs import base

    workload = table_workload(num_rows)
    config: Any = base.named("table", "")
    config.framework = framework
    found = load_framework(framework)
    found.start(config)
    if framework == "pytorch":
        from torch_compat import twins

        twins.load = functools.partial(twin, num_rows)
    return assemble(config, found, workload, load_submission(locate("nadamw", framework), workload), None)


def table_workload(num_rows: int) -> Any:
    """The workload of the tests of tables, with another table."""
    import jax
    import jax.numpy as jnp

    from tests.algoperf_jax import table_workload as small

    def drawn(rng: Any) -> Any:
        # Part by part, because the random bits of the whole would be two more tables.
        keys = jax.random.split(rng, 64)
        return jax.lax.map(lambda key: jax.random.uniform(key, (num_rows // 64, WIDTH)) / 2048, keys)

    def init(rng: Any) -> tuple[Any, Any]:
        params = {
            "Dense_0": {"kernel": jnp.ones((WIDTH, small.NUM_CLASSES)), "bias": jnp.zeros(small.NUM_CLASSES)},
            "embedding_table": drawn(rng).reshape(num_rows, WIDTH),
        }
        return params, None

    return dataclasses.replace(small.build(), init=init)


def twin(num_rows: int, workload: Any) -> Any:
    """The workload in PyTorch, with four chunks of its table."""
    import torch

    from tests.algoperf_jax import table_workload as small
    from torch_compat.layers.split_table import NUM_CHUNKS, SplitTable
    from torch_compat.transfer.leaves import linear_leaves, row_leaves
    from torch_compat.transfer.torch_model import TorchModel

    class Lookup(SplitTable):
        """Rows of the table, summed, and a linear layer."""

        def __init__(self) -> None:
            super().__init__(num_rows, WIDTH)
            self.linear = torch.nn.Linear(WIDTH, small.NUM_CLASSES)

        def forward(self, batch: Any, *, dropout_rate: float) -> torch.Tensor:
            """The logits."""
            del dropout_rate
            return self.linear(self.look_up(batch["inputs"]).sum(dim=1))

    leaves = row_leaves("embedding_chunk", "embedding_table", num_rows=num_rows, count=NUM_CHUNKS)
    return TorchModel(
        make_module=Lookup,
        parameters=leaves | linear_leaves("linear", "Dense_0"),
        buffers={},
        arrange=lambda inputs: inputs,
        loss=workload.loss,
    )


def memory(name: str) -> int:
    """A number of bytes from the status of this process."""
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return 1024 * int(line.split()[1])


def forget_peak() -> None:
    """Makes `VmHWM` start again at the memory in use."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


if __name__ == "__main__":
    main(sys.argv[1:])
