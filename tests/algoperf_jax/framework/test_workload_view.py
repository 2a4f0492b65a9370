"""The workload as submissions see it: the benchmark's documented interface, read-only."""

import dataclasses
import enum
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax import parameters
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.framework.jax_view import JaxView
from algoperf_jax.parameters import ShapeTuple
from algoperf_jax.submission.interface import ForwardPassMode
from algoperf_jax.workload import LossType, ParameterType
from tests.algoperf_jax import tiny_workload

KEY = jax.random.PRNGKey(3)
INPUTS = np.arange(32, dtype=np.float32).reshape(8, 4) / 10
BATCH = {"inputs": INPUTS, "targets": np.arange(8) % 3, "weights": np.ones(8, np.float32)}


@pytest.fixture
def view() -> JaxView:
    return JaxView(tiny_workload.build("tiny"))


def with_loss_type(loss_type: LossType) -> JaxView:
    return JaxView(dataclasses.replace(tiny_workload.build("tiny"), loss_type=loss_type))


# --- facts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("target_metric_name", "accuracy"),
        ("validation_target_value", 1.5),
        ("test_target_value", 1.5),
        ("loss_type", LossType.SOFTMAX_CROSS_ENTROPY),
        ("num_train_examples", 256),
        ("num_eval_train_examples", 64),
        ("num_validation_examples", 64),
        ("num_test_examples", 64),
        ("eval_batch_size", 64),
        ("max_allowed_runtime_sec", 1000),
        ("eval_period_time_sec", 1000),
        ("step_hint", 100),
        ("metrics_logger", None),
    ],
)
def test_fact(name: str, value: Any, view: JaxView) -> None:
    assert getattr(view, name) == value


def test_mean_and_deviation_are_missing_where_they_make_no_sense(view: JaxView) -> None:
    with pytest.raises(NotImplementedError, match="tiny defines no train_mean"):
        _ = view.train_mean
    with pytest.raises(NotImplementedError, match="tiny defines no train_stddev"):
        _ = view.train_stddev
    mnist = JaxView(workloads.load("mnist"))
    assert (mnist.train_mean, mnist.train_stddev) == (0.1307, 0.3081)


def test_shapes_and_types_are_known_without_drawing_parameters(view: JaxView) -> None:
    assert view.param_shapes["Dense_0"] == {"kernel": ShapeTuple((4, 8)), "bias": ShapeTuple((8,))}
    assert [leaf.shape_tuple for leaf in jax.tree.leaves(view.param_shapes)] == [(8,), (4, 8), (3,), (8, 3)]
    assert view.model_params_types["dense_0"] == {"kernel": ParameterType.WEIGHT, "bias": ParameterType.BIAS}
    assert set(view.model_params_types) == {"dense_0", "dense_1"}


def test_output_parameters(view: JaxView) -> None:
    assert view.is_output_params("Dense_1")
    assert not view.is_output_params("Dense_0")


@pytest.mark.parametrize("split", ["validation", "test"])
def test_targets_must_be_beaten_strictly(split: str, view: JaxView) -> None:
    reached = getattr(view, f"has_reached_{split}_target")
    assert reached({f"{split}/accuracy": 1.6})
    assert not reached({f"{split}/accuracy": 1.5})
    assert not reached({f"{split}/accuracy": float("nan")})


# --- read-only, and static for jit -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["step_hint", "model_fn", "param_shapes", "validation_target_value", "_workload", "new"]
)
def test_nothing_can_be_set_or_deleted(name: str, view: JaxView) -> None:
    with pytest.raises(AttributeError, match=f"workload.{name} cannot be set"):
        setattr(view, name, 1)
    with pytest.raises(AttributeError, match=f"workload.{name} cannot be deleted"):
        delattr(view, name)


def test_static_argument_of_jit_is_traced_once(view: JaxView) -> None:
    traces = []

    def loss(workload: JaxView, params: Any, batch: Any) -> jax.Array:
        traces.append(workload)
        logits, _ = workload.model_fn(params, batch, None, ForwardPassMode.EVAL, KEY, update_batch_norm=False)
        return workload.loss_fn(batch["targets"], logits, batch["weights"])["summed"]

    jitted = jax.jit(loss, static_argnums=0)
    params, _ = view.init_model_fn(KEY)
    first, second = (jitted(view, params, BATCH) for _ in range(2))
    assert first == second
    assert traces == [view]
    assert hash(view) == hash(view)
    assert view != JaxView(tiny_workload.build("tiny"))


# --- functions -------------------------------------------------------------------------------------------------------


def test_init_model_fn_follows_the_key(view: JaxView) -> None:
    assert KEY.dtype == jnp.uint32
    assert KEY.shape == (2,)
    one, again, other = (view.init_model_fn(key)[0] for key in (KEY, KEY, jax.random.PRNGKey(4)))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert not np.array_equal(one["Dense_0"]["kernel"], other["Dense_0"]["kernel"])
    assert parameters.shapes(one) == view.param_shapes


def test_init_model_fn_puts_parameters_on_the_layout() -> None:
    layout = make_layout(2)
    params, _ = JaxView(tiny_workload.build("tiny"), layout=layout).init_model_fn(KEY)
    assert {leaf.sharding for leaf in jax.tree.leaves(params)} == {layout.replicated}


class OtherMode(enum.Enum):
    """An enum from another module, as in published submissions."""

    TRAIN = 0
    EVAL = 1


@pytest.mark.parametrize("mode", [ForwardPassMode, OtherMode])
def test_dropout_is_active_in_training_only(mode: Any, view: JaxView) -> None:
    params, state = view.init_model_fn(KEY)

    def logits(mode: Any, key: Any, rate: float) -> np.ndarray:
        found, _ = view.model_fn(params, BATCH, state, mode, key, update_batch_norm=True, dropout_rate=rate)
        return np.asarray(found)

    plain = logits(mode.EVAL, KEY, 0.5)
    np.testing.assert_array_equal(plain, logits(mode.EVAL, jax.random.PRNGKey(9), 0.9))
    np.testing.assert_allclose(plain, logits(mode.TRAIN, KEY, 0.0), rtol=1e-6)
    dropped = logits(mode.TRAIN, KEY, 0.5)
    assert not np.allclose(plain, dropped)
    assert not np.allclose(dropped, logits(mode.TRAIN, jax.random.PRNGKey(9), 0.5))


def test_dropout_rate_may_be_traced(view: JaxView) -> None:
    params, state = view.init_model_fn(KEY)

    @jax.jit
    def logits(rate: Any) -> jax.Array:
        return view.model_fn(params, BATCH, state, ForwardPassMode.TRAIN, KEY, True, dropout_rate=rate)[0]

    assert not np.allclose(logits(0.1), logits(0.9))
    assert logits._cache_size() == 1  # pyright: ignore[reportAttributeAccessIssue]


def test_loss_has_the_documented_keys_and_takes_the_documented_arguments(view: JaxView) -> None:
    logits = jnp.asarray([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    loss = view.loss_fn(
        label_batch=jnp.asarray([0, 2]), logits_batch=logits, mask_batch=jnp.asarray([1.0, 0.0]), label_smoothing=0.0
    )
    assert list(loss) == ["summed", "n_valid_examples", "per_example"]
    expected = np.log(np.exp(2.0) + 1 + np.exp(-1.0)) - 2.0
    np.testing.assert_allclose(loss["per_example"], [expected, 0.0], rtol=1e-6)
    assert (float(loss["summed"]), float(loss["n_valid_examples"])) == (pytest.approx(expected), 1.0)
    assert float(view.loss_fn(jnp.asarray([0, 2]), logits)["n_valid_examples"]) == 2.0
    assert view.loss_fn(jnp.asarray([0]), logits[:1], label_smoothing=0.5)["summed"] > loss["summed"]


@pytest.mark.parametrize(
    ("loss_type", "expected"),
    [
        (LossType.SOFTMAX_CROSS_ENTROPY, [[0.25, 0.75]]),
        (LossType.CTC_LOSS, [[0.25, 0.75]]),
        (LossType.SIGMOID_CROSS_ENTROPY, [[0.5, 0.75]]),
        (LossType.MEAN_SQUARED_ERROR, [[0.0, np.log(3.0)]]),
        (LossType.MEAN_ABSOLUTE_ERROR, [[0.0, np.log(3.0)]]),
    ],
)
def test_output_activation(loss_type: LossType, expected: Any) -> None:
    logits = jnp.asarray([[0.0, np.log(3.0)]])
    np.testing.assert_allclose(with_loss_type(loss_type).output_activation_fn(logits, "jax"), expected, rtol=1e-6)


def test_output_activation_of_another_framework(view: JaxView) -> None:
    with pytest.raises(ValueError, match="framework 'numpy'"):
        view.output_activation_fn(jnp.zeros((1, 3)), "numpy")


def test_batch_statistics_need_no_synchronization(view: JaxView) -> None:
    state = {"batch_stats": {"mean": jnp.ones(2)}}
    assert view.sync_batch_stats(state) is state
