"""Checks a submission by calling its functions on every workload.

The first workload is trained for two steps. On the others, one step is traced with abstract arrays, which takes
seconds, if the framework supports it; otherwise one step is taken with a small batch.
"""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import workloads
from algoperf_jax.assembly import Parts, assemble, hyperparameter_point, load_workload
from algoperf_jax.check_submission.problems import Problems, without_remedy
from algoperf_jax.check_submission.steps import NotTraceable, Steps, Stopped
from algoperf_jax.errors import ConfigError, SubmissionError, UserError
from algoperf_jax.framework.framework import Framework, load_framework
from algoperf_jax.rule_check.findings import Finding, Report
from algoperf_jax.rule_check.static import PREVENT_LOADING
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.interface import Submission
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import Located
from algoperf_jax.workload import Workload

SMALLEST_WORKLOAD = "mnist"
_STEPS = 2

MakeConfig = Callable[[str, Mapping[str, Any]], Any]


@dataclasses.dataclass(frozen=True)
class Row:
    """The result on one workload.

    Attributes:
      workload: its name.
      result: `fail` if a finding on it is an error.
      detail: what was done, or why the workload was skipped.
    """

    workload: str
    result: Literal["pass", "fail", "skipped"]
    detail: str


@dataclasses.dataclass(frozen=True)
class Examination:
    """The findings, and the result on each workload."""

    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]


def examine(
    report: Report, located: Located, names: Sequence[str], make_config: MakeConfig, *, real_steps: bool
) -> Examination:
    """Calls the functions of a submission.

    Args:
      report: result of the static check of its source.
      located: the submission.
      names: the workloads.
      make_config: `(workload, overrides) -> configuration` with the submission, framework and hyperparameters.
      real_steps: take a step on every workload instead of tracing.

    Raises:
      UserError: something other than the submission needs fixing.
    """
    prevented = [f for f in report.findings if f.severity == "error" and f.rule in PREVENT_LOADING]
    if prevented:
        why = f"it cannot be loaded: {prevented[0].rule} in {prevented[0].place}"
        return Examination((), tuple(Row(name, "skipped", why) for name in names))
    problems = Problems(pathlib.Path(report.submission), report.files)
    framework = load_framework(report.framework)
    framework.start(make_config(names[0], {}))
    rows = []
    with submission_imports(located):
        for name in sorted(names, key=lambda name: (name != SMALLEST_WORKLOAD, name)):
            subject = _load(problems, framework, located, make_config(name, {}), is_first=not rows)
            if subject is None:
                why = "it cannot be loaded"
                return Examination(tuple(problems.findings()), tuple(Row(name, "skipped", why) for name in names))
            rows.append(_examine(problems, framework, *subject, name, make_config, real_steps=real_steps))
    return Examination(tuple(problems.findings()), tuple(rows))


def _load(
    problems: Problems, framework: Framework, located: Located, config: Any, *, is_first: bool
) -> tuple[Workload, Submission] | None:
    workload = load_workload(config)
    try:
        submission = load_submission(located, workload)
    except SubmissionError as error:
        problems.add("error", "import", str(error), error=error.__cause__)
        return None
    point = config.hyperparameters.to_dict()
    try:
        hyperparameter_point(submission, point, config.ruleset)
    except ConfigError as error:
        problems.add("error", "hyperparameters", f"the search space does not match the submission: {error}")
        return None
    if is_first and config.ruleset == "external" and not point and submission.hyperparameters is None:
        problems.add(
            "warning",
            "hyperparameters",
            "no hyperparameters, which the external ruleset requires: expected a tuning_search_space.json in the "
            "same folder, --search_space=FILE, or --ruleset=self for a submission that needs none",
        )
    return workload, submission


def _examine(
    problems: Problems,
    framework: Framework,
    workload: Workload,
    submission: Submission,
    name: str,
    make_config: MakeConfig,
    *,
    real_steps: bool,
) -> Row:
    """Checks one workload."""
    parts = _at_chosen_size(problems, framework, workload, submission, make_config(name, {}))
    try:
        if parts is None or name != SMALLEST_WORKLOAD:
            small = {"batch_size": _small_size(workload, framework, make_config(name, {}))}
            small |= {"eval_batch_size": workload.eval_batch_size} if parts is None else {}
            parts = assemble(make_config(name, small), framework, workload, submission, None)
        detail = _run(Steps(parts, problems), problems, parts, name, real_steps=real_steps)
    except Stopped:
        return Row(name, "fail", "a function failed; see the findings")
    except UserError as error:
        return Row(name, "skipped", str(error))
    if detail is None:
        return Row(name, "skipped", "it cannot be traced; see the findings, and use --real_steps to take a step")
    return Row(name, "fail" if problems.is_failed(name) else "pass", detail)


def _at_chosen_size(
    problems: Problems, framework: Framework, workload: Workload, submission: Submission, config: Any
) -> Parts | None:
    """The parts with the submission's own batch size, or None if it has none that is usable here."""
    try:
        return assemble(config, framework, workload, submission, None)
    except SubmissionError as error:
        raised = error.__cause__ is not None
        # A submission need not support workloads outside the benchmark.
        severity = "note" if raised and workloads.suite(workload.base_name) == "development" else "error"
        what = without_remedy(error).removeprefix(f"{submission.name}: ").replace(f"({workload.name!r})", "")
        function = submission.get_batch_size
        problems.add(severity, "batch-size", what, workload=workload.name, error=error.__cause__, function=function)
    except ConfigError as error:
        problems.add("note", "batch-size", str(error), workload=workload.name, function=submission.get_batch_size)
    return None


def _small_size(workload: Workload, framework: Framework, config: Any) -> int:
    """The workload's batch size, rounded up to a multiple of the number of devices."""
    count = framework.make_layout(config, workload).placement.device_count
    return -(-workload.batch_size // count) * count


def _run(steps: Steps, problems: Problems, parts: Parts, name: str, *, real_steps: bool) -> str | None:
    """Takes or traces steps; returns which, or None if it can do neither."""
    size = parts.batch_size
    if name == SMALLEST_WORKLOAD:
        steps.take(_STEPS)
        return f"{_STEPS} steps of {size} examples"
    if not real_steps:
        try:
            steps.trace()
            return f"a traced step of {size} examples"
        except NotTraceable as reason:
            if reason.__cause__ is not None:
                what = (
                    f"not checked on all workloads: {reason}, so it cannot be traced; use --real_steps to take a step"
                )
                problems.add("note", "not-traceable", what, workload=name, error=reason.__cause__)
                return None
    steps.take(1)
    return f"a step of {size} examples"
