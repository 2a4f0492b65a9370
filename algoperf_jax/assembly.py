"""Assembles the parts of a trial from a configuration."""

import collections
import dataclasses
import keyword
import numbers
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import UInt32

import workloads
from algoperf_jax.configuration import values
from algoperf_jax.data.feed import DeviceFeed, FeedOptions
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import Layout, check_batch_size
from algoperf_jax.errors import ConfigError, SubmissionError, UserError, did_you_mean
from algoperf_jax.framework.framework import Framework
from algoperf_jax.framework.workload_view import MetricsLogger, WorkloadView
from algoperf_jax.submission.calls import Calls
from algoperf_jax.submission.interface import Submission
from algoperf_jax.trial.backend import Backend
from algoperf_jax.trial.loop import Trial
from algoperf_jax.trial.rules import TimingRules
from algoperf_jax.trial.run_state import RunState
from algoperf_jax.workload import EVALUATION_SPLITS, Budget, SplitReader, Workload
from third_party.algoperf import jax_sharding_utils


@dataclasses.dataclass(frozen=True)
class Keys:
    """The random keys of a trial, derived from its seed as in the benchmark's runner."""

    data: UInt32[np.ndarray, "2"]
    optimizer: UInt32[np.ndarray, "2"]
    model: UInt32[np.ndarray, "2"]
    loop: UInt32[np.ndarray, "2"]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The parts of a trial, before any training.

    Attributes:
      workload: with the configuration's overrides, and the true number of training examples.
      submission: the training algorithm.
      hyperparameters: the point under test, or None.
      layout: the devices and how arrays are placed on them.
      view: the workload as the submission sees it.
      evaluator: evaluates parameters.
      backend: operations on the devices.
      batch_size: training examples per step, over all devices.
      reader: the training split.
      feed_options: how far ahead batches are made.
      keys: random keys.
    """

    workload: Workload
    submission: Submission
    hyperparameters: Any
    layout: Layout
    view: WorkloadView
    evaluator: Evaluator
    backend: Backend
    batch_size: int
    reader: SplitReader
    feed_options: FeedOptions
    keys: Keys

    @property
    def calls(self) -> Calls:
        """The calls of the submission's functions."""
        return Calls(self.submission, self.view, self.hyperparameters)

    def trial(self, *, rules: TimingRules, **changes: Any) -> Trial:
        """The trial made of these parts, without limits and event sinks unless `changes` sets them.

        Args:
          rules: the timing rules.
          **changes: values for other fields of `Trial`.
        """
        fields: dict[str, Any] = {"calls": self.calls, "goal": self.workload.goal, **changes}
        if "input_queue" not in fields:
            fields["input_queue"] = self.make_feed()
        return Trial(backend=self.backend, rules=rules, **fields)

    def make_feed(self) -> DeviceFeed:
        """A new feed of training batches, at the first batch."""
        return DeviceFeed(self.reader, self.backend.put_batch, self.feed_options)


def make_keys(seed: int, ruleset: str) -> Keys:
    """Derives the keys of data, optimizer, model and loop; under the external ruleset after one more split."""
    key = jax.random.PRNGKey(seed)
    if ruleset == "external":
        key, _ = jax.random.split(key, 2)
    return Keys(*np.asarray(jax.random.split(key, 4)))


def load_workload(config: Any) -> Workload:
    """The configured workload, with the configuration's overrides of its budget and input pipeline."""
    workload = workloads.load(config.workload, data_dir=config.data_dir, edition=config.edition)
    budget = Budget(
        max_runtime_sec=config.max_runtime_sec or workload.budget.max_runtime_sec,
        eval_period_sec=config.eval_period_sec or workload.budget.eval_period_sec,
        step_hint=config.step_hint or workload.budget.step_hint,
    )
    data = workload.data
    if config.input.workers is not None and data.with_workers is not None:
        data = data.with_workers(config.input.workers)
    return dataclasses.replace(workload, budget=budget, data=data)


def assemble(
    config: Any,
    framework: Framework,
    workload: Workload,
    submission: Submission,
    metrics_logger: MetricsLogger | None,
    splits: Sequence[str] = EVALUATION_SPLITS,
) -> Parts:
    """Makes the parts of a trial. Opens the data, but does not initialize parameters.

    Args:
      config: a checked configuration.
      framework: the submission's framework.
      workload: from `load_workload`.
      submission: the training algorithm.
      metrics_logger: receives the scalars that the submission logs, or None.
      splits: the splits to evaluate.

    Raises:
      UserError: the configuration, data and devices are incompatible.
    """
    layout = framework.make_layout(config, workload)
    # Published submissions get the shardings of the run from functions without arguments.
    jax_sharding_utils.use_mesh(layout.mesh)
    placement = layout.placement
    keys = make_keys(config.seed, config.ruleset)
    batch_size = config.batch_size or _chosen_size(submission, "batch_size", workload)
    eval_batch_size = config.eval_batch_size or (
        workload.eval_batch_size
        if submission.get_eval_batch_size is None
        else _chosen_size(submission, "eval_batch_size", workload)
    )
    check_batch_size("config.batch_size", batch_size, placement)
    data_seed = int(keys.data[0])
    reader = workload.data.open("train", batch_size=batch_size, seed=data_seed, placement=placement)
    workload = dataclasses.replace(
        workload,
        eval_batch_size=eval_batch_size,
        split_sizes={**workload.split_sizes, "train": reader.num_examples},
    )
    connection = framework.connect(config, workload, layout, metrics_logger)
    evaluator = Evaluator(
        workload,
        layout,
        batch_size=eval_batch_size,
        seed=data_seed,
        stage_bytes=config.evaluation.stage_bytes,
        splits=splits,
    )
    return Parts(
        workload=workload,
        submission=submission,
        hyperparameters=hyperparameter_point(submission, config.hyperparameters.to_dict(), config.ruleset),
        layout=layout,
        view=connection.view,
        evaluator=evaluator,
        backend=connection.make_backend(evaluator),
        batch_size=batch_size,
        reader=reader,
        feed_options=FeedOptions(config.input.threads, config.input.batches_ahead),
        keys=keys,
    )


def initial_state(parts: Parts) -> RunState:
    """Initializes the parameters and the submission's state; not timed.

    Raises:
      SubmissionError: `init_optimizer_state` failed.
    """
    params, model_state = parts.backend.initialize(parts.keys.model)
    submission = parts.submission
    try:
        optimizer_state = parts.calls.init_optimizer_state(params, model_state, parts.keys.optimizer)
    except (Exception, SystemExit) as error:
        if isinstance(error, UserError):
            raise
        raise SubmissionError(
            f"{submission.name}: init_optimizer_state raised {type(error).__name__}"
            f"{submission.source.line_of(error)}: {error}",
            remedy=parts.backend.explain(error) or f"Fix it in {submission.source.path}.",
        ) from error
    return RunState(params, model_state, optimizer_state, rng=parts.keys.loop)


def hyperparameter_point(submission: Submission, given: Mapping[str, Any], ruleset: str) -> Any:
    """The hyperparameter point as a named tuple; None for a self-tuning submission that declares no hyperparameters.

    Raises:
      ConfigError: the submission does not declare a given name, is self-tuning and takes none, or declares another type
        for a given value.
    """
    declared = submission.hyperparameters
    if declared is None and ruleset == "self":
        if given:
            raise ConfigError(
                f"config.hyperparameters: a self-tuning submission takes none, but got {', '.join(given)}"
            )
        return None
    point = {**(declared or {}), **given}
    for name, value in given.items():
        key = f"config.hyperparameters.{name}"
        if declared is None:
            if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
                raise ConfigError(key, expected="a valid Python name")
        elif name not in declared:
            raise ConfigError(
                f"unknown hyperparameter {key} for {submission.name}", remedy=did_you_mean(name, declared)
            )
        else:
            try:
                point[name] = values.fit(value, declared[name])
            except ValueError as error:
                example = f"--{key}={shlex.quote(str(declared[name]))}"
                raise ConfigError(
                    key,
                    value=value,
                    expected=f"a value of type {values.type_name(declared[name])}, for instance {example}",
                ) from error
    return collections.namedtuple("Hyperparameters", point)(**point)


def _chosen_size(submission: Submission, key: str, workload: Workload) -> int:
    """What the submission's `get_<key>` returns."""
    try:
        try:
            size = getattr(submission, f"get_{key}")(workload.name)
        except ValueError:
            # As in the benchmark's runner: a variant unknown to the submission gets the batch size of its base
            # workload.
            size = getattr(submission, f"get_{key}")(workload.base_name)
    except Exception as error:
        raise SubmissionError(
            f"{submission.name}: get_{key}({workload.name!r}) raised {type(error).__name__}: {error}",
            remedy=f"Fix it in {submission.source.path}, or set --config.{key}.",
        ) from error
    if not isinstance(size, numbers.Integral) or isinstance(size, bool) or size < 1:
        raise SubmissionError(
            f"{submission.name}: get_{key}({workload.name!r}) returned",
            value=size,
            expected="a positive int",
            remedy=f"Fix it in {submission.source.path}, or set --config.{key}.",
        )
    return int(size)
