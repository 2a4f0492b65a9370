"""The state of JAX submissions is restored exactly into a newly made state."""

import collections
import itertools
import json
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax.core import FrozenDict

from algoperf_jax.checkpoints.jax_packing import pack, unpack
from algoperf_jax.errors import RunError, SubmissionError
from algoperf_jax.trial.backend import Packed

PARAMS = {"Dense_0": {"kernel": jnp.arange(6.0).reshape(2, 3)}}


class Window:
    """Keeps the newest trees, as averaging submissions do."""

    def __init__(self) -> None:
        self.trees: list[Any] = []


class Pair(NamedTuple):
    left: Any
    right: Any


@flax.struct.dataclass
class Schedule:
    scale: Any
    stage: str = flax.struct.field(pytree_node=False)


def returned(value: Any, template: Any) -> Any:
    packed = pack(value)
    arrays = {name: np.array(array) for name, array in packed.arrays.items()}
    through_files = Packed(arrays, json.loads(json.dumps(packed.values)))
    return unpack(template, through_files, lambda array, old: jnp.asarray(array))


def window(*trees: Any) -> Window:
    found = Window()
    found.trees += trees
    return found


def generator(draws: int) -> np.random.Generator:
    found = np.random.default_rng(3)
    found.normal(size=draws)
    return found


@pytest.mark.parametrize(
    ("value", "template"),
    [
        (collections.deque([PARAMS, PARAMS], maxlen=8), collections.deque(maxlen=8)),
        ({"a": 1, "b": jnp.ones(2)}, {}),
        ([1, 2.5, PARAMS], []),
        (jnp.float32(4), None),
        (None, jnp.float32(4)),
        (np.array(["a", "bc"]), np.array(["x"])),
        (np.str_("a"), np.str_("b")),
        (np.array([None, 1, "x"], dtype=object), None),
        (optax.adam(0.1).init(PARAMS), optax.adam(0.2).init(PARAMS)),
        ([optax.adam(0.1).init(PARAMS)], []),
        (Schedule(jnp.ones(2), "late"), Schedule(jnp.zeros(2), "early")),
        (FrozenDict({"a": jnp.ones(2)}), FrozenDict({"a": jnp.zeros(2)})),
        (jax.tree_util.Partial(max, jnp.ones(2)), jax.tree_util.Partial(max, jnp.zeros(2))),
        ([Pair(jnp.ones(1), "x")], []),
    ],
)
def test_a_state_that_changed_its_structure_is_restored(value: Any, template: Any) -> None:
    found = returned(value, template)
    assert type(found) is type(value)
    if isinstance(value, collections.deque):  # which JAX treats as a leaf
        assert found.maxlen == value.maxlen
        found, value = list(found), list(value)
    assert jax.tree.structure(found) == jax.tree.structure(value)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(value), strict=True):
        np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))


def test_objects_keep_their_attributes() -> None:
    assert len(returned(window(PARAMS, PARAMS), Window()).trees) == 2
    # Objects missing from the new state are made from their class.
    (found,) = returned([window(PARAMS)], [])
    np.testing.assert_array_equal(found.trees[0]["Dense_0"]["kernel"], PARAMS["Dense_0"]["kernel"])


def test_random_generators_continue_their_sequences() -> None:
    expected = generator(5).normal(size=3)
    np.testing.assert_array_equal(returned(generator(5), generator(0)).normal(size=3), expected)
    np.testing.assert_array_equal(returned([generator(5)], [])[0].normal(size=3), expected)
    old = np.random.RandomState(1)
    old.normal(size=3)  # an odd number, so one normal variate is cached
    expected = np.random.RandomState(1).normal(size=4)[3]
    assert returned(old, np.random.RandomState(7)).normal() == expected


def test_typed_keys_need_no_template() -> None:
    key = jax.random.key(3)
    np.testing.assert_array_equal(jax.random.key_data(returned([key], [])[0]), jax.random.key_data(key))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"count": itertools.count(3)}, r"count is a count, whose state cannot be saved"),
        ([{"stream": iter([1, 2])}], r"0\.stream is a list_iterator"),
    ],
)
def test_saving_names_what_cannot_be_saved(value: Any, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        pack(value)


def test_functions_come_from_the_template_or_are_named_as_missing() -> None:
    assert returned({"step": max}, {"step": min})["step"] is min
    with pytest.raises(RunError, match=r"\['step'\]: the checkpoint needs a builtin_function_or_method.*nothing there"):
        returned({"step": max}, {})
