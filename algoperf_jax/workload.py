"""The type `Workload`: pure functions, facts and data.

A workload is a fixed model, data set, loss, metric and target on which training algorithms are measured. Everything
that the engine, a submission, the evaluation or a report needs to know about it is a field of `Workload`; adding a
workload means building another value of this type (see CONTRIBUTING.md).
"""

import dataclasses
import enum
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np

if TYPE_CHECKING:  # worker processes of input pipelines import this module, and should not wait for JAX
    import jax

Parameters = Any
"""Nested dict of float32 arrays."""
ModelState = Any
"""Nested dict of model variables that are not parameters (`{'batch_stats': ...}`), or None."""
Batch = Mapping[str, Any]
"""`inputs`, `targets` and `weights` (0 marks padding), and other arrays that a workload's model or metrics need; all
share the leading batch axis. NumPy arrays on the host, global `jax.Array`s on the devices.

`weights` has one entry per term of the loss: per example [B], or per token [B, L]. A batch that packs several sequences
into a row has `<name>_position` and `<name>_segmentation` in addition to `<name>`, int32 [B, L]: the token's position
in its sequence, and the number of the sequence in its row, counted from 1; 0 is padding.

A split has one schema, declared in `Workload.schema` and the same for real and built-in data. Splits may differ: for
example, training batches may have mixed targets or be packed while evaluation batches do not.
"""
RandomKey = Any
"""A raw threefry key, uint32[2]."""

SplitName = Literal["train", "eval_train", "validation", "test"]
EVALUATION_SPLITS: tuple[SplitName, ...] = ("eval_train", "validation", "test")
SPLITS: tuple[SplitName, ...] = ("train", *EVALUATION_SPLITS)


@dataclasses.dataclass(frozen=True)
class ArraySpec:
    """One array of a batch.

    Attributes:
      shape: lengths of the axes after the batch axis; None for a length that depends on the batch size.
      dtype: NumPy's name of the type.
    """

    shape: tuple[int | None, ...] = ()
    dtype: str = "float32"

    def fits(self, array: Any) -> bool:
        """Whether an array with a batch axis matches this description."""
        shape = tuple(array.shape)[1:]
        return (
            array.ndim == 1 + len(self.shape)
            and array.dtype.name == self.dtype
            and all(expected in (None, length) for expected, length in zip(self.shape, shape, strict=True))
        )


Schema = Mapping[str, Any]
"""A tree with the structure of a batch and an `ArraySpec` for each array."""


class LossType(enum.Enum):
    """The family of a workload's loss, numbered as in the benchmark's documentation."""

    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ParameterType(enum.Enum):
    """The role of a parameter array, numbered as in the benchmark's documentation."""

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
    """The result of a workload's loss function; the training objective is `summed / n_valid_examples`.

    The arrays are of the same library as the logits: JAX, PyTorch or NumPy.

    Attributes:
      summed: scalar, the sum of `per_example`.
      n_valid_examples: scalar. The sum of the weights of examples [B] or tokens [B, L]; without weights, their number;
        for CTC, the number of target tokens.
      per_example: the loss of each example or token, 0 where the weight is 0.
    """

    summed: Any
    n_valid_examples: Any
    per_example: Any


class Partial(NamedTuple):
    """The contribution of one evaluation batch to a split's metrics.

    Attributes:
      sums: scalars to be summed over batches; padding contributes 0.
      rows: arrays with a leading example axis, to be concatenated over batches on the host. They include the weights,
        so that `Metrics.summarize` can recognize padding.
    """

    sums: "Mapping[str, jax.Array]"
    rows: "Mapping[str, jax.Array]"


@dataclasses.dataclass(frozen=True)
class Metrics:
    """How a split is evaluated.

    Attributes:
      batch_step: `(params, model_state, batch, rng) -> Partial`; pure, compiled once per batch shape.
      summarize: `(sums, rows) -> {name: value}`, on the host, from the totals and the concatenated rows of all batches.
    """

    batch_step: Callable[[Parameters, ModelState, Batch, RandomKey], Partial]
    summarize: Callable[[Mapping[str, float], Mapping[str, np.ndarray]], dict[str, float]]


@dataclasses.dataclass(frozen=True)
class Goal:
    """The target of a trial: a metric must be strictly better than a value, on validation and on test.

    A model without a published target is trained and evaluated for its whole budget, and never reaches a target.

    Attributes:
      metric: name of the metric without the split, for instance `accuracy`.
      direction: whether larger or smaller values are better.
      validation: target for `validation/<metric>`, which decides the time to target, or None if the model has no
        target.
      test: target for `test/<metric>`, or None if the workload has no test split or the model no target.
    """

    metric: str
    direction: Literal["maximize", "minimize"]
    validation: float | None = None
    test: float | None = None

    @property
    def has_target(self) -> bool:
        """Whether there is a target on validation."""
        return self.validation is not None

    def reached(self, metrics: Mapping[str, float], split: Literal["validation", "test"]) -> bool:
        """Whether `metrics` (keys `<split>/<metric>`) strictly beat the target of `split`; NaN never does.

        With a target on validation only, the test target counts as reached from the start; without any target, none is
        ever reached.
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
      eval_period_sec: seconds of wall time from the end of one evaluation to the start of the next.
      step_hint: number of steps that schedules are planned for.
    """

    max_runtime_sec: float
    eval_period_sec: float
    step_hint: int


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts that differ between a workload's real and built-in data.

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
    """What the input pipeline needs to know about processes and devices.

    Attributes:
      process_index: index of this process among those that share the run.
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
    """Puts a host batch on the devices.

    Starts the transfer of this process's rows, applies `finish` to them on the devices, and returns the global arrays
    without waiting for them.
    """

    def __call__(self, batch: Batch, finish: Finish | None = None, /) -> Batch: ...


@dataclasses.dataclass(frozen=True)
class SplitReader:
    """One split, opened for one batch size.

    Attributes:
      num_examples: number of distinct examples in the split.
      num_batches: number of batches in one pass, or None for the endless stream of the training split.
      batch: `k -> Batch` of NumPy arrays, this process's rows of global batch `k`. A pure function of `k`: any thread
        may request any batch at any time, and the examples of a global batch do not depend on the number of devices or
        processes.
      finish: the last step of the pipeline, on the devices, or None: maps the transferred `batch(k)` to the batch that
        is trained on. It works element by element, for any leading axes, with functions of the array API standard, so
        that it accepts arrays of any framework. It keeps transfers small: `batch(k)` may be uint8, for example.
    """

    num_examples: int
    num_batches: int | None
    batch: Callable[[int], Batch]
    finish: Finish | None = None

    def put(self, k: int, put_batch: PutBatch) -> Batch:
        """Puts global batch `k` on the devices and finishes it."""
        return put_batch(self.batch(k), self.finish)

    def finished(self, k: int) -> Batch:
        """Makes and finishes this process's rows of global batch `k` on the host."""
        return self.batch(k) if self.finish is None else self.finish(self.batch(k))


class OpenSplit(Protocol):
    """Opens a split; `seed` determines shuffling and augmentation, and nothing else is random."""

    def __call__(self, split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader: ...


@dataclasses.dataclass(frozen=True)
class Data:
    """A workload's examples.

    Attributes:
      origin: `builtin` for generated data, `prepared` for real data.
      open: opens a split.
      describe: returns facts for the log of a run (version, checksums, split sizes).
      with_workers: returns a copy that makes examples in N worker processes (0: in this process); None if workers do
        not help.
    """

    origin: Literal["builtin", "prepared"]
    open: OpenSplit
    describe: Callable[[], dict[str, Any]]
    with_workers: "Callable[[int], Data] | None" = None


class Apply(Protocol):
    """The model's forward pass.

    `logits` are the outputs before any output activation: an array, or a tuple `(logits, paddings)`, where paddings are
    1 at padded frames. No gradient flows through the paddings. `train` turns dropout on. Batch normalization uses batch
    statistics and returns new running statistics iff `update_batch_norm`; `use_running_average` (default: `not
    update_batch_norm`) chooses the statistics separately.

    `dropout_rate` is one rate for all dropout layers, and may be a traced scalar; None means the workload's default. In
    a model with several documented rates (residual and input dropout of librispeech_conformer, input and feed-forward
    dropout of librispeech_deepspeech), all have the same default, 0.1, and `dropout_rate` replaces each.
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

    `logits` is what `Apply` returns, `weights` is that of a batch. Written with functions of the array API standard
    where possible, so that it accepts arrays of either framework, which can differentiate it. A loss that needs more,
    such as a scan (CTC), takes JAX arrays; the PyTorch model then has its own loss, `TorchModel.loss`, and a test
    checks that both agree.
    """

    def __call__(self, targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss: ...


@dataclasses.dataclass(frozen=True, eq=False)
class Workload:
    """A fixed model, data set, loss, metric and target. Compared and hashed by identity.

    Attributes:
      name: registry name, including the variant (`ogbg_gelu`).
      base_name: registry name of the workload this is a variant of (`ogbg`).
      init: `rng -> (params, model_state)`.
      apply: forward pass.
      loss: loss function, without regularization.
      loss_type: family of the loss, as documented by the benchmark.
      metrics: how a split is evaluated.
      data: the examples.
      schema: the arrays of a finished batch, for each split.
      goal: as in `Facts`, for the data in use.
      budget: as in `Facts`.
      batch_size: as in `Facts`.
      eval_batch_size: as in `Facts`.
      split_sizes: as in `Facts`.
      output_parameters: top-level names in `params` that hold the output layer.
      sharded_parameters: `fnmatch` patterns of the `/`-joined paths of parameters large enough to split by rows over
        devices, such as `embedding_table`; `config.mesh.shard_parameters` turns this on.
      dropout_rate: default dropout rate.
      train_mean: mean of the inputs for normalization, or None if it does not apply.
      train_stddev: standard deviation of the inputs for normalization, or None if it does not apply.
      model_arguments: arguments that the model was built with; its twin in another framework is built with the same.
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
