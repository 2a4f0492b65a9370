"""Calls a submission's functions as a trial does, and checks everything that they return.

The same code takes real steps and is traced by JAX with abstract arrays, which needs no computation.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Never

import jax
import numpy as np

from algoperf_jax.assembly import Parts, initial_state
from algoperf_jax.check_submission.problems import Problems, described, without_remedy
from algoperf_jax.errors import RunError, SubmissionError, UserError
from algoperf_jax.submission.interface import TrainingCompleteError, Update, checked_update
from algoperf_jax.trial.backend import Content, StepKeys
from algoperf_jax.trial.clock import Bucket, Clock
from algoperf_jax.trial.loop import train_state
from algoperf_jax.trial.run_state import RunState

_ONLY_WHEN_TRACED = (
    jax.errors.ConcretizationTypeError,
    jax.errors.TracerArrayConversionError,
    jax.errors.TracerIntegerConversionError,
    jax.errors.UnexpectedTracerError,
)


class Stopped(Exception):
    """A function of the submission failed; the problems say how."""


class NotTraceable(Exception):
    """A function cannot be traced because it needs the values of arrays; the cause says where."""


class Steps:
    """The calls of one trial."""

    def __init__(self, parts: Parts, problems: Problems) -> None:
        self._parts = parts
        self._calls = parts.calls
        self._problems = problems
        self._workload = parts.workload.name
        self._expected = jax.eval_shape(parts.workload.init, jax.ShapeDtypeStruct((2,), np.uint32))
        self._traced = False

    def take(self, count: int) -> None:
        """Takes steps, prepares for evaluation, and checks that a trial could be resumed from there.

        Raises:
          Stopped: see the problems.
        """
        content, rng = self._initial()
        queue = self._parts.make_feed()
        try:
            for step in range(count):
                content = self._step(content, queue, step, self._parts.backend.step_keys(rng, step))
            content = self._prepare(content, count, self._parts.backend.step_keys(rng, count - 1))
        except TrainingCompleteError:
            return  # allowed: the submission ended the training itself
        self._check_finite(content)
        self._check_resumable(content)

    def trace(self) -> None:
        """Traces one step, with a real state, because the step may need parts of it that are not arrays.

        Raises:
          Stopped: see the problems.
          NotTraceable: the step can only be run.
        """
        content, rng = self._initial()
        if not all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(content.params)):
            raise NotTraceable(f"its parameters are a {type(content.params).__name__}")
        leaves, structure = jax.tree.flatten(content)
        positions = [index for index, leaf in enumerate(leaves) if _is_array(leaf)]

        def step(arrays: Sequence[Any], batch: Any, keys: Any) -> None:
            merged = list(leaves)
            for position, array in zip(positions, arrays, strict=True):
                merged[position] = array
            before = jax.tree.unflatten(structure, merged)
            after = self._step(before, itertools.repeat(batch), 0, keys)
            self._compare_states(before.optimizer_state, after.optimizer_state)
            self._prepare(after, 1, keys)

        batch = self._parts.reader.put(0, self._parts.backend.put_batch)
        keys = self._parts.backend.step_keys(rng, 0)
        self._traced = True
        try:
            jax.eval_shape(step, [leaves[position] for position in positions], batch, keys)
        except TrainingCompleteError:
            pass  # allowed: the submission ended the training itself
        finally:
            self._traced = False

    # --- calls -------------------------------------------------------------------------------------------------------

    def _initial(self) -> tuple[Content, Any]:
        try:
            state = initial_state(self._parts)
        except SubmissionError as error:
            self._raised("init_optimizer_state", error.__cause__ or error)
        return Content(state.params, state.model_state, state.optimizer_state), state.rng

    def _step(self, content: Content, queue: Iterator[Any], step: int, keys: StepKeys) -> Content:
        calls = self._calls
        batch = self._call("data_selection", lambda: calls.data_selection(content, queue, step, keys.data_selection))
        before = self._held(batch)
        at_rest = RunState(content.params, content.model_state, content.optimizer_state, rng=keys.update, step=step)
        seen = train_state(at_rest, Clock.start(Bucket.SUBMISSION))
        returned = self._call(
            "update_params",
            lambda: calls.update_params(content, batch, step, keys.update, eval_results=[], train_state=seen),
        )
        if before is not None and not _is_held(before, self._held(batch)):
            self._add("warning", "batch", "update_params changes its batch", "update_params")
        return self._checked("update_params", returned)

    def _prepare(self, content: Content, step: int, keys: StepKeys) -> Content:
        calls = self._calls
        if calls.submission.prepare_for_eval is None:
            return content
        returned = self._call(
            "prepare_for_eval", lambda: calls.prepare_for_eval(content, step, keys.prepare_for_eval, eval_results=[])
        )
        return self._checked("prepare_for_eval", returned)

    def _call(self, function: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except TrainingCompleteError:
            raise
        except (Exception, SystemExit) as error:
            if self._traced and (isinstance(error, _ONLY_WHEN_TRACED) or "Tracer" in str(error)):
                raise NotTraceable(f"{function} reads the values of arrays") from error
            self._raised(function, error)

    # --- what is returned --------------------------------------------------------------------------------------------

    def _checked(self, function: str, returned: Any) -> Content:
        name = f"{self._parts.submission.name}: "
        try:
            update: Update = checked_update(self._parts.submission, function, returned)
        except SubmissionError as error:
            self._add("error", "return-value", without_remedy(error).removeprefix(name), function)
            raise Stopped from error
        content = Content(update.params, update.model_state, update.optimizer_state)
        try:
            self._parts.backend.check_update(function, update.params)
            found = self._parts.backend.for_evaluation(update.params, update.model_state)
            differing = first_difference(self._expected, found, ("parameters", "model state"))
        except UserError as error:
            differing = without_remedy(error).removeprefix(f"{function} ")
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            differing = described(error)
        if differing is not None:
            self._add("error", "parameters", f"{function} returned: {differing}", function)
            raise Stopped
        return content

    def _compare_states(self, before: Any, after: Any) -> None:
        differing = first_difference(before, after, None)
        if differing is not None:
            what = f"update_params changes the structure of the optimizer state: {differing}"
            self._add("warning", "optimizer-state", what, "update_params")

    def _check_finite(self, content: Content) -> None:
        params, _ = self._parts.backend.for_evaluation(content.params, content.model_state)
        if not all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(params)):
            self._add("warning", "not-finite", "parameters are not finite after the first steps", "update_params")

    def _check_resumable(self, content: Content) -> None:
        """Restores what a checkpoint would save into a newly made state."""
        try:
            kept = self._parts.backend.pack(content)
            template, _ = self._initial()
            self._parts.backend.unpack(template, kept)
        except (RunError, SubmissionError) as error:
            self._add("warning", "optimizer-state", f"a trial could not be resumed: {error.what}", "update_params")

    def _held(self, batch: Any) -> tuple[Any, list[Any]] | None:
        """The structure and content of a batch; None for other values that `data_selection` may return."""
        if not isinstance(batch, Mapping):
            return None
        leaves, structure = jax.tree.flatten(dict(batch))
        return structure, leaves if self._traced else [_on_host(leaf) for leaf in leaves]

    def _add(self, severity: Any, rule: str, message: str, function: str) -> None:
        called = getattr(self._parts.submission, function)
        self._problems.add(severity, rule, message, workload=self._workload, function=called)

    def _raised(self, function: str, error: BaseException) -> Never:
        hint = self._parts.backend.explain(error)
        message = f"{function} raised {described(error)}{'. ' if hint else ''}{hint}"
        self._problems.add("error", "raises", message, workload=self._workload, error=error)
        raise Stopped from error


def first_difference(expected: Any, found: Any, names: tuple[str, ...] | None) -> str | None:
    """Describes the first array whose place, shape or type differs between two trees; None if there is none.

    Args:
      expected: a tree of arrays, abstract or not; leaves that are not arrays count as equal.
      found: a tree to compare with it.
      names: names of the elements, for tuples.
    """
    ours, theirs = _described_leaves(expected, names), _described_leaves(found, names)
    for place in (*ours, *theirs):
        if ours.get(place) != theirs.get(place):
            return f"{place} is {theirs.get(place, 'missing')}, expected {ours.get(place, 'nothing there')}"
    return None


def _described_leaves(tree: Any, names: tuple[str, ...] | None) -> dict[str, str]:
    parts = [("", tree)] if names is None else list(zip(names, tree, strict=True))
    return {
        f"{name} {jax.tree_util.keystr(path, simple=True, separator='/')}".strip(): (
            f"{leaf.dtype}{list(leaf.shape)}" if hasattr(leaf, "dtype") and hasattr(leaf, "shape") else "a value"
        )
        for name, part in parts
        for path, leaf in jax.tree_util.tree_flatten_with_path(part)[0]
    }


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _on_host(leaf: Any) -> Any:
    """A copy on the host, or None for a donated array."""
    if isinstance(leaf, jax.Array):
        return None if leaf.is_deleted() else np.array(leaf)
    return np.asarray(leaf.cpu() if hasattr(leaf, "cpu") else leaf).copy()


def _is_held(before: tuple[Any, list[Any]], after: tuple[Any, list[Any]] | None) -> bool:
    if after is None or before[0] != after[0]:
        return False
    return all(b is None or a is b or np.array_equal(a, b) for a, b in zip(before[1], after[1], strict=True))
