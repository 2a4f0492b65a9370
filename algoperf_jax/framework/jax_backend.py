"""The backend of JAX submissions."""

import collections
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from algoperf_jax.checkpoints import jax_packing, random_states
from algoperf_jax.devices import memory
from algoperf_jax.devices.evaluation import Evaluator
from algoperf_jax.devices.mesh import Layout
from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.parameters import path_name
from algoperf_jax.trial.backend import Content, NonFiniteError, Packed, StepKeys
from algoperf_jax.workload import Batch, Finish, ModelState, Parameters

QUEUED_STEPS = 2
"""Limit on the steps queued on the devices. Two keep a device busy while the host prepares the next; more would only
delay the moment at which a spent budget is noticed."""
_CHANGED = "If the submission has changed, start over with --config.overwrite=True."


class _Saved(NamedTuple):
    """The content of a checkpoint: `Content`, and the random states of the process."""

    params: Parameters
    model_state: ModelState
    optimizer_state: Any
    random: Any


@jax.jit
def _fingerprint(leaf: jax.Array) -> jax.Array:
    return jnp.sum(leaf)


@jax.jit
def _step_keys(rng: jax.Array, step: jax.Array) -> StepKeys:
    # The step is folded into the loop's key, which itself is never split. See findings/jax_fold_in_is_split.sh.
    return StepKeys(*jax.random.split(jax.random.fold_in(rng, step), 4))


class JaxBackend:
    """The backend for submissions whose parameters are `jax.Array`s; see `backend.Backend`."""

    def __init__(self, view: JaxView, layout: Layout, evaluator: Evaluator) -> None:
        self._view = view
        self._layout = layout
        self._evaluator = evaluator
        # The smallest array is cheap to sum, and once a loss is not finite, no parameter array stays finite.
        self._probed = 0
        self._num_arrays = 0
        self._dtypes: list[Any] = []
        self._queued: collections.deque[tuple[int, jax.Array]] = collections.deque()

    def initialize(self, rng: Any) -> tuple[Parameters, ModelState]:
        params, model_state = self._view.init_model_fn(rng)
        # Compiled here, before timing starts: the submission should not pay for the loop's helpers.
        leaves = jax.tree.leaves(params)
        self._num_arrays = len(leaves)
        self._dtypes = [leaf.dtype for leaf in leaves]
        self._probed = min(range(len(leaves)), key=lambda index: leaves[index].size)
        _fingerprint(leaves[self._probed]).block_until_ready()
        _step_keys(rng, 0)
        return params, model_state

    def step_keys(self, rng: Any, step: int) -> StepKeys:
        return _step_keys(rng, step)

    def put_batch(self, batch: Batch, finish: Finish | None = None) -> Batch:
        return self._layout.put_batch(batch, finish)

    def check_update(self, function: str, params: Parameters) -> None:
        leaves = jax.tree.leaves(params)
        if len(leaves) != self._num_arrays:
            raise SubmissionError(
                f"{function} returned parameters of {len(leaves)} arrays",
                expected=f"the {self._num_arrays} arrays of the model, in (optimizer_state, params, model_state)",
            )
        dtypes = [leaf.dtype for leaf in leaves]
        if dtypes != self._dtypes:
            index = next(i for i, pair in enumerate(zip(dtypes, self._dtypes, strict=True)) if pair[0] != pair[1])
            path, _ = jax.tree_util.tree_flatten_with_path(params)[0][index]
            raise SubmissionError(
                f"{function} returned the parameter {path_name(path)} of type",
                value=str(dtypes[index]),
                expected=f"{self._dtypes[index]}, as from init_model_fn",
            )

    def pace(self, params: Parameters, step: int) -> None:
        # The parameters may be donated to the next step, so wait for a number computed from them.
        self._queued.append((step, _fingerprint(jax.tree.leaves(params)[self._probed])))
        while len(self._queued) > QUEUED_STEPS:
            self._check(*self._queued.popleft())

    def wait_for(self, outputs: Any) -> None:
        jax.block_until_ready(outputs)
        # A submission may have queued work on which none of its outputs depends; this counts as its time too.
        for array in jax.live_arrays():
            if not array.is_deleted():
                array.block_until_ready()

    def evaluate(self, params: Parameters, model_state: ModelState, rng: Any) -> dict[str, float]:
        # Nothing is queued any more; if the parameters are not finite, the validation loss will show it.
        self._queued.clear()
        return self._evaluator(*self.for_evaluation(params, model_state), rng)

    def for_evaluation(self, params: Parameters, model_state: ModelState) -> tuple[Parameters, ModelState]:
        return params, model_state

    def explain(self, error: BaseException) -> str:
        del error
        return ""

    def devices(self) -> dict[str, Any]:
        device = self._layout.mesh.devices.flat[0]
        return {"platform": device.platform, "kind": device.device_kind, "count": self._layout.mesh.devices.size}

    def memory_peak_bytes(self) -> dict[str, int]:
        return memory.memory_peak_bytes()

    def pack(self, content: Content) -> Packed:
        packed = jax_packing.pack(_Saved(*content, random_states.current()))
        specs = {name: self._layout.spec_of(array) for name, array in packed.arrays.items()}
        split = {name: spec for name, spec in specs.items() if spec is not None}
        return Packed(packed.arrays, {**packed.values, "specs": split})

    def shardings(self, packed: Packed) -> Mapping[str, Any]:
        specs = packed.values["specs"]
        return {name: self._layout.sharding(spec, packed.arrays[name].shape) for name, spec in specs.items()}

    def unpack(self, template: Content, packed: Packed) -> Content:
        # Checked before unpacking, which fills parts of the template in place.
        expected = _arrays((template.params, template.model_state))
        kept: _Saved = jax_packing.unpack(_Saved(*template, None), packed, self._put)
        content = Content(kept.params, kept.model_state, kept.optimizer_state)
        found = _arrays((content.params, content.model_state))
        odd = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        if odd:
            raise RunError(
                f"checkpoint: the array {odd[0]!r} is {found.get(odd[0], 'missing')}",
                expected=f"{expected.get(odd[0], 'no such array')}, as in a new state",
                remedy=_CHANGED,
            )
        # Last, because making the template may have drawn random numbers.
        random_states.restore(kept.random)
        return content

    def _put(self, array: Any, template: jax.Array | None) -> jax.Array:
        if template is not None and template.committed and template.shape == array.shape:
            return jax.device_put(array, template.sharding)
        return array if isinstance(array, jax.Array) else jax.device_put(array, self._layout.replicated)

    def _check(self, step: int, fingerprint: jax.Array) -> None:
        if not np.isfinite(np.asarray(fingerprint)):
            raise NonFiniteError(f"the parameters are no longer finite after step {step}")


def _arrays(trees: tuple[Any, Any]) -> dict[str, str]:
    """Type and shape of each array of parameters and model state, by name."""
    return {
        f"{part}.{jax.tree_util.keystr(path, simple=True, separator='.')}": f"{leaf.dtype}{list(np.shape(leaf))}"
        for part, tree in zip(("params", "model_state"), trees, strict=True)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
        if hasattr(leaf, "dtype")
    }
