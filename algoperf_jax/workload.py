"""What a workload is: pure functions, facts and data.

A workload is a fixed model, data set, loss, metric and target that a training algorithm is measured on. Everything that
the engine, a submission, the evaluation or a report needs to know about one is a field of `Workload`; adding a workload
means building one more value of this type (see CONTRIBUTING.md).
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:  # worker processes of input pipelines need these types, and can do without the seconds that JAX takes
    import jax

Parameters = Any
"""Nested dict of float32 arrays."""
ModelState = Any
"""Nested dict of what the model carries besides parameters (`{'batch_stats': ...}`), or None."""
Batch = Mapping[str, Any]
"""`inputs`, `targets` and `weights` (0 marks padding), and what else the model or the metrics of a workload need; all
share the leading batch axis. NumPy arrays on the host, global `jax.Array`s on the devices.

`weights` belong to what the loss judges one by one: examples [B], or tokens [B, L]. A batch that packs several
sequences into a row says so with `<name>_position` and `<name>_segmentation` beside `<name>`, int32 [B, L]: a token's
place in its sequence, and the number of the sequence in its row, from 1 on; 0 is padding.

A split has one schema, declared in `Workload.schema` and the same for real and for built-in data. Splits may differ:
training batches may have mixed targets or be packed where those of evaluation are not."""
RandomKey = Any
"""A raw threefry key, uint32[2]."""

SplitName = Literal["train", "eval_train", "validation", "test"]
EVALUATION_SPLITS: tuple[SplitName, ...] = ("eval_train", "validation", "test")
SPLITS: tuple[SplitName, ...] = ("train", *EVALUATION_SPLITS)


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One array of a batch.

    Attributes:
      shape: the axes beyond the batch axis; None for one whose length depends on the size of the batch.
      dtype: name of the type, as NumPy calls it.
    """

    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"

    def fits(self, array: Any) -> bool:
        """Whether an array with a batch axis is as described."""
        shape = tuple(array.shape)[1:]
        return (
            array.ndim == 1 + len(self.shape)
            and array.dtype.name == self.dtype
            and all(expected in (None, length) for expected, length in zip(self.shape, shape, strict=True))
        )


Schema = Mapping[str, Any]
"""A tree like a batch, with an `ArraySpec` for each array."""


class LossType(enum.Enum):
    """The family of a workload's loss; the numbers are those of the benchmark's documentation."""

    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ParameterType(enum.Enum):
    """The role of a parameter array; the numbers are those of the benchmark's documentation."""

    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


class Loss(NamedTuple):
    """What a workload's loss function returns; the training objective is `summed / n_valid_examples`.

    Arrays of the kind that the logits are: of JAX, PyTorch or NumPy.

    Attributes:
      summed: scalar, the sum of `per_example`.
      n_valid_examples: scalar, the number of what the workload counts: the sum of the weights, of examples [B] or of
        tokens [B, L] (without weights, how many there are), or for CTC the number of target tokens.
      per_example: the loss of each example, or of each token, 0 where the weight is 0.
    """

    summed: Any
    n_valid_examples: Any
    per_example: Any


class Partial(NamedTuple):
    """What one evaluation batch contributes to a split's metrics.

    Attributes:
      sums: scalars that are added up over batches; padding contributes 0.
      rows: arrays with a leading example axis that are collected over batches on the host. A workload that returns rows
        returns their weights among them, so that `Metrics.summarize` can tell padding.
    """

    sums: "Mapping[str, jax.Array]"
    rows: "Mapping[str, jax.Array]"


@dataclasses.dataclass(frozen=True)
class Metrics:
    """How a split is judged.

    Attributes:
      batch_step: `(params, model_state, batch, rng) -> Partial`; pure, compiled once per batch shape.
      summarize: `(sums, rows) -> {name: value}`, on the host. `sums` holds totals, `rows` concatenated rows.
    """

    batch_step: Callable[[Parameters, ModelState, Batch, RandomKey], Partial]
    summarize: Callable[[Mapping[str, float], Mapping[str, np.ndarray]], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Goal:
    """The target that ends a trial: a metric strictly better than a value, on validation and on test.

    A model that nobody published a target for has none: it is trained and evaluated like any other, for its whole
    budget, and never reaches a target.

    Attributes:
      metric: name of the metric without the split, for instance `accuracy`.
      direction: whether larger or smaller values are better.
      validation: target for `validation/<metric>`, which decides the time to target, or None where the model has none.
      test: target for `test/<metric>`, or None where the workload has no test split, or the model no target.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    validation: float | None = None
    test: float | None = None

    @property
    def has_target(self) -> bool:
        """Whether there is a value to reach."""
        return self.validation is not None

    def reached(self, metrics: Mapping[str, float], split: Literal["validation", "test"]) -> bool:
        """Whether `metrics` (keys `<split>/<metric>`) strictly beat the target of `split`; NaN never does.

        With a target on validation only, that of test is reached from the start; without any, none ever is.
        """
        target = self.validation if split == "validation" else self.test
        if target is None:
            return self.has_target
        value = metrics[f"{split}/{self.metric}"]
        return bool(value > target if self.direction == "maximize" else value < target)


@dataclasses.dataclass(frozen=True)
class Budget:
    """How long a trial may run and how often it is evaluated.

    Attributes:
      max_runtime_sec: seconds of submission time.
      eval_period_sec: seconds of wall time between the end of one evaluation and the next.
      step_hint: number of steps for which schedules are laid out.
    """

    max_runtime_sec: float
    eval_period_sec: float
    step_hint: int


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a workload's real and built-in data each have of their own.

    Attributes:
      goal: validation and test targets.
      budget: runtime limit, evaluation period and step hint.
      batch_size: training batch size for algorithms that do not choose one.
      eval_batch_size: number of examples per evaluation batch.
      split_sizes: nominal number of examples of each split.
    """

    goal: Goal
    budget: Budget
    batch_size: int
    eval_batch_size: int
    split_sizes: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where batches go, as far as the input pipeline must know.

    Attributes:
      process_index: this process among those that share the run.
      process_count: number of processes; each reads only its own rows.
      device_count: number of devices on the data axis of the mesh, over all processes.
    """

    process_index: int = 0
    process_count: int = 1
    device_count: int = 1

    def rows(self, count: int) -> slice:
        """The slice of `count` global rows that belongs to this process."""
        per_process = count // self.process_count
        return slice(self.process_index * per_process, (self.process_index + 1) * per_process)


Finish = Callable[[Batch], Batch]
"""The last stage of an input pipeline, on the devices; see `SplitReader`."""


class PutBatch(Protocol):
    """Starts the transfer of this process's rows of a host batch, has `finish` applied to them on the devices, and
    returns the global arrays without waiting for them.
    """

    def __call__(self, batch: Batch, finish: Finish | None = None, /) -> Batch: ...


@dataclasses.dataclass(frozen=True)
class SplitReader:
    """One split, opened for one batch size.

    Attributes:
      num_examples: number of distinct examples in the split.
      num_batches: number of batches of one pass, or None for the endless stream of the training split.
      batch: `k -> Batch` of NumPy arrays, this process's rows of global batch `k`. A pure function of `k`: any thread
        may ask for any batch at any time, and the examples of a global batch do not depend on the number of devices or
        processes.
      finish: what is left to do on the devices, or None: `batch(k)` as it was sent -> the batch as it is trained on. It
        works element by element, whatever leading axes there are, with the functions of the array API standard, so
        that it takes the arrays of any framework; `batch(k)` may so be smaller (uint8) than what is made of it.
    """

    num_examples: int
    num_batches: int | None
    batch: Callable[[int], Batch]
    finish: Finish | None = None

    def put(self, k: int, put_batch: PutBatch) -> Batch:
        """Global batch `k` on the devices, as it is trained on."""
        return put_batch(self.batch(k), self.finish)

    def finished(self, k: int) -> Batch:
        """Global batch `k` as it is trained on, this process's rows of it, made on the host."""
        return self.batch(k) if self.finish is None else self.finish(self.batch(k))


class OpenSplit(Protocol):
    """Opens a split; `seed` decides shuffling and augmentation and nothing else is random."""

    def __call__(self, split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader: ...


@dataclasses.dataclass(frozen=True)
class Data:
    """A workload's examples.

    Attributes:
      origin: `builtin` for the generated stand-in, `prepared` for real data.
      open: opens a split.
      describe: facts for the log of a run (version, checksums, split sizes).
      with_workers: the same examples, made by so many processes beside this one, or by none (0); None where a batch is
        too little work for that.
    """

    origin: Literal["builtin", "prepared"]
    open: OpenSplit
    describe: Callable[[], dict[str, Any]]
    with_workers: "Callable[[int], Data] | None" = None


class Apply(Protocol):
    """The model's forward pass.

    `logits` come before any output activation. They are an array, or a tuple of one and what the loss must know about
    it: `(logits, paddings)`, where paddings are 1 for the frames that are none. No gradient flows through the latter.
    `train` turns dropout on. Batch normalization uses batch statistics and returns new running statistics iff
    `update_batch_norm`; `use_running_average` (default: `not update_batch_norm`) chooses the statistics separately.

    `dropout_rate` is one rate for all places with dropout, and may be a traced scalar; None takes the workload's
    default. A model whose documentation names several (residual and input dropout of librispeech_conformer, input and
    feed-forward dropout of librispeech_deepspeech) has the same default for all of them, 0.1, and the given rate goes
    to each.
    """

    def __call__(
        self,
        params: Parameters,
        model_state: ModelState,
        batch: Batch,
        rng: RandomKey,
        *,
        train: bool,
        update_batch_norm: bool,
        dropout_rate: Any = None,
        use_running_average: bool | None = None,
    ) -> tuple[Any, ModelState]: ...


class LossFunction(Protocol):
    """`(targets, logits, weights=None, label_smoothing=0.) -> Loss`, without regularization.

    `logits` are what `Apply` returns, `weights` those of a batch. Written with the functions of the array API
    standard where that is possible, so that it takes the arrays of either framework and is differentiated by it. A
    loss that needs more, such as a scan (CTC), takes JAX arrays; the model in PyTorch then has one of its own,
    `TorchModel.loss`, and a test holds the two equal.
    """

    def __call__(self, targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Workload:
    """A fixed model, data set, loss, metric and target. Compared and hashed by identity.

    Attributes:
      name: registry name, variants included (`ogbg_gelu`).
      base_name: registry name of the workload this is a variant of (`ogbg`).
      init: `rng -> (params, model_state)`.
      apply: forward pass.
      loss: loss without regularization.
      loss_type: family of the loss as documented by the benchmark.
      metrics: how a split is judged.
      data: the examples.
      schema: what a batch of each split holds, once it is finished.
      goal, budget, batch_size, eval_batch_size, split_sizes: the `Facts` of the data.
      output_parameters: top-level names in `params` that hold the output layer.
      sharded_parameters: patterns (as of `fnmatch`) of the `/`-joined paths of parameters so large that the devices of
        a run may share out their rows, such as `embedding_table`; they do where `config.mesh.shard_parameters` is set.
      dropout_rate: default dropout rate.
      train_mean, train_stddev: normalization constants of the inputs, None where the notion makes no sense.
      model_arguments: what the model was built with, so that a twin in another framework can be built alike.
    """

    name: str
    base_name: str
    init: Callable[[RandomKey], tuple[Parameters, ModelState]]
    apply: Apply
    loss: LossFunction
    loss_type: LossType
    metrics: Metrics
    data: Data
    schema: Mapping[SplitName, Schema]
    goal: Goal
    budget: Budget
    batch_size: int
    eval_batch_size: int
    split_sizes: Mapping[str, int]
    output_parameters: tuple[str, ...]
    sharded_parameters: tuple[str, ...] = ()
    dropout_rate: float = 0.0
    train_mean: float | tuple[float, ...] | None = None
    train_stddev: float | tuple[float, ...] | None = None
    model_arguments: Mapping[str, Any] = dataclasses.field(default_factory=dict)
