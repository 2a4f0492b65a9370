"""Evaluates parameters on the evaluation splits.

Each split is read once and kept on the devices if it fits, each split has one compiled function, and every example
counts exactly once, regardless of the number of devices.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from algoperf_jax.data.feed import DeviceFeed
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.workload import EVALUATION_SPLITS, Batch, ModelState, Parameters, SplitReader, Workload

_QUEUED_BATCHES = 2
"""Limit on the batches queued on the devices: enough to keep them busy while the host prepares the next."""


class Evaluator:
    """Evaluates one workload on one layout; keeps compiled functions and staged batches between evaluations.

    Args:
      workload: the workload to evaluate.
      layout: placement of batches and parameters.
      batch_size: examples per evaluation batch, over all devices.
      seed: seed for input pipelines with random evaluation data.
      stage_bytes: splits stay on the devices as long as they fit into this many bytes together.
      splits: the splits to evaluate, in this order.
    """

    def __init__(
        self,
        workload: Workload,
        layout: Layout,
        *,
        batch_size: int,
        seed: int,
        stage_bytes: int,
        splits: Sequence[str] = EVALUATION_SPLITS,
    ) -> None:
        self._workload = workload
        self._layout = layout
        self._batch_size = batch_size
        self._seed = seed
        self._free_bytes = stage_bytes
        self._splits = tuple(split for split in splits if workload.split_sizes.get(split) is not None)
        self._readers: dict[str, SplitReader] = {}
        self._staged: dict[str, list[Batch]] = {}
        self._steps: dict[str, Callable[..., Any]] = {}

    def __call__(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        """Evaluates all splits; waits for the results.

        Args:
          params: the model's parameters.
          model_state: the model's state.
          rng: random key.

        Returns:
          `<split>/<metric>` of all splits, and `<split>/num_examples` of validation and test. The training subset is
          reported under `train/`.
        """
        params, model_state = self.place(params, model_state)
        results: dict[str, float] = {}
        for split in self._splits:
            prefix = "train" if split == "eval_train" else split
            for name, value in self.split(split, params, model_state, rng).items():
                results[f"{prefix}/{name}"] = value
            if split != "eval_train":
                results[f"{split}/num_examples"] = self._reader(split).num_examples
        return results

    def place(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        """Moves parameters and model state to where the evaluation needs them, if they are not there already."""
        shardings = self._layout.parameter_shardings(params), self._layout.replicated
        return jax.device_put(params, shardings[0]), jax.device_put(model_state, shardings[1])

    def split(self, split: str, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        """The metrics of one split; `params` and `model_state` must come from `place`."""
        step = self._step(split)
        partials = []
        for batch in self._batches(split):
            partials.append(step(params, model_state, batch, rng))
            if len(partials) > _QUEUED_BATCHES:
                # Without this, all batches of a split that is not staged would be on the devices at once.
                jax.block_until_ready(partials[-1 - _QUEUED_BATCHES])
        sums: dict[str, float] = {}
        for partial in partials:
            for name, value in partial.sums.items():
                sums[name] = sums.get(name, 0.0) + float(value)
        rows = {
            name: np.concatenate([np.asarray(partial.rows[name]) for partial in partials])
            for name in (partials[0].rows if partials else ())
        }
        return self._workload.metrics.summarize(sums, rows)

    def _reader(self, split: str) -> SplitReader:
        if split not in self._readers:
            self._readers[split] = self._workload.data.open(
                split,  # pyright: ignore[reportArgumentType] -- one of EVALUATION_SPLITS
                batch_size=self._batch_size,
                seed=self._seed,
                placement=self._layout.placement,
            )
        return self._readers[split]

    def _step(self, split: str) -> Callable[..., Any]:
        if split not in self._steps:
            layout = self._layout
            self._steps[split] = jax.jit(
                self._workload.metrics.batch_step,
                in_shardings=(None, None, layout.batch, layout.replicated),  # parameters stay where `place` put them
                out_shardings=layout.replicated,
            )
        return self._steps[split]

    def _batches(self, split: str) -> Sequence[Batch] | Iterator[Batch]:
        if split in self._staged:
            return self._staged[split]
        reader = self._reader(split)
        assert reader.num_batches is not None, f"evaluation split {split} is endless"
        first = reader.batch(0)
        size = reader.num_batches * _bytes(first) * self._layout.placement.process_count
        batches = DeviceFeed(reader, self._layout.put_batch)
        if size > self._free_bytes:
            return batches
        self._free_bytes -= size
        self._staged[split] = list(batches)
        return self._staged[split]


def _bytes(batch: Mapping[str, Any]) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
