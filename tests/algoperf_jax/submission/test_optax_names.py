"""Every public name of optax and optax.contrib: an optimizer that a factory may use, one that is refused, or none.

Another release of optax shows here what it adds, takes away or changes.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from algoperf_jax.checkpoints import jax_packing
from algoperf_jax.errors import SubmissionError
from algoperf_jax.submission import optax_factory
from algoperf_jax.submission.optax_factory import make_functions
from algoperf_jax.trial.backend import Packed
from tests.golden_support import compiling_quickly

# Neither optimizers nor parts or wrappers of one.
OTHERS: Mapping[ModuleType, str] = {
    optax: """
        GradientTransformation GradientTransformationExtraArgs MaskOrFn OptState Params ScalarOrSchedule Schedule
        ShouldSkipUpdateFunction TransformInitFn TransformUpdateExtraArgsFn TransformUpdateFn Updates WrappedSchedule
        apply_updates bias_correction constant_schedule convex_kl_divergence cosine_decay_schedule cosine_distance
        cosine_onecycle_schedule cosine_similarity ctc_loss ctc_loss_with_forward_probs exponential_decay
        generalized_kl_divergence global_norm hinge_loss huber_loss incremental_update init_empty_state join_schedules
        kl_divergence l2_loss linear_onecycle_schedule linear_schedule log_cosh matrix_inverse_pth_root microbatch
        multi_normal nnls ntxent per_example_global_norm_clip per_example_layer_norm_clip periodic_update
        piecewise_constant_schedule piecewise_interpolate_schedule polynomial_schedule power_iteration safe_increment
        safe_int32_increment safe_norm safe_root_mean_squares safe_softmax_cross_entropy scale_gradient sgdr_schedule
        sigmoid_binary_cross_entropy sigmoid_focal_loss skip_large_updates skip_not_finite smooth_labels
        softmax_cross_entropy softmax_cross_entropy_with_integer_labels squared_error tree_map_params
        update_infinity_moment update_moment update_moment_per_elem_norm value_and_grad_from_state
        warmup_constant_schedule warmup_cosine_decay_schedule warmup_exponential_decay_schedule
    """,
    optax.contrib: "schedule_free_eval_params",
}
SGD = optax.sgd(0.05)
MASK = {"bias": True, "kernel": False}
MATRICES = {"bias": False, "kernel": True}
KEY = jax.random.key(0)


def before_sgd(part: optax.GradientTransformation) -> optax.GradientTransformation:
    """A gradient transformation before gradient descent."""
    return optax.chain(part, SGD)


def after_sgd(part: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(SGD, part)


def searching() -> optax.GradientTransformationExtraArgs:
    """An optimizer that accepts only `value`, `grad` and `value_fn`."""
    return optax.chain(SGD, optax.scale_by_backtracking_linesearch(3))


def everywhere(params: Any) -> Any:
    return jax.tree.map(lambda _: True, params)


def all_matrices(params: Any) -> Any:
    return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), params)


def labels(params: Any) -> Any:
    return jax.tree.map(lambda _: "all", params)


def always(step: Any, **offered: Any) -> Any:
    assert {"value", "loss"} <= set(offered)
    return step >= 0


def measure(updates: Any, state: Any, params: Any = None, **offered: Any) -> Any:
    del updates, params
    return offered["loss"], state


MEASURE = optax.GradientTransformationExtraArgs(lambda params: optax.EmptyState(), measure)

# Optimizers, and parts and wrappers of one in their intended use.
OPTAX: Mapping[str, Callable[[], Any]] = {
    "MultiSteps": lambda: optax.MultiSteps(searching(), 2),
    "adabelief": lambda: optax.adabelief(0.05),
    "adadelta": lambda: optax.adadelta(1.0),
    "adafactor": lambda: optax.adafactor(0.05),
    "adagrad": lambda: optax.adagrad(0.05),
    "adam": lambda: optax.adam(0.05),
    "adamax": lambda: optax.adamax(0.05),
    "adamaxw": lambda: optax.adamaxw(0.05),
    "adamw": lambda: optax.adamw(0.05),
    "adan": lambda: optax.adan(0.05),
    "adaptive_grad_clip": lambda: before_sgd(optax.adaptive_grad_clip(0.1)),
    "add_decayed_weights": lambda: before_sgd(optax.add_decayed_weights(0.01)),
    "add_noise": lambda: before_sgd(optax.add_noise(1e-4, 0.5, KEY)),
    "amsgrad": lambda: optax.amsgrad(0.05),
    "apply_every": lambda: before_sgd(optax.apply_every(2)),
    "apply_if_finite": lambda: optax.apply_if_finite(searching(), 2),
    "centralize": lambda: before_sgd(optax.centralize()),
    "chain": lambda: optax.chain(optax.clip(1.0), searching()),
    "clip": lambda: before_sgd(optax.clip(0.1)),
    "clip_by_block_rms": lambda: before_sgd(optax.clip_by_block_rms(0.1)),
    "clip_by_global_norm": lambda: before_sgd(optax.clip_by_global_norm(0.1)),
    "conditionally_mask": lambda: optax.conditionally_mask(searching(), always, forward_extra_args=True),
    "conditionally_transform": lambda: optax.conditionally_transform(searching(), always, forward_extra_args=True),
    "ema": lambda: before_sgd(optax.ema(0.5)),
    "flatten": lambda: optax.flatten(optax.adam(0.05)),
    "freeze": lambda: after_sgd(optax.freeze(MASK)),
    "fromage": lambda: optax.fromage(0.05),
    "identity": lambda: before_sgd(optax.identity()),
    "inject_hyperparams": lambda: optax.inject_hyperparams(optax.sgd)(learning_rate=0.05),
    "inject_stateful_hyperparams": lambda: optax.inject_stateful_hyperparams(optax.sgd)(
        learning_rate=optax.WrappedSchedule(lambda count: jnp.asarray(0.05))
    ),
    "keep_params_nonnegative": lambda: after_sgd(optax.keep_params_nonnegative()),
    "lamb": lambda: optax.lamb(0.05),
    "lars": lambda: optax.lars(1.0),
    "lbfgs": lambda: optax.lbfgs(),
    "lion": lambda: optax.lion(0.05),
    "masked": lambda: optax.masked(searching(), everywhere),
    "measure_with_ema": lambda: before_sgd(optax.monitor({"norm": optax.measure_with_ema(optax.tree.norm, 0.9)})),
    "monitor": lambda: before_sgd(optax.monitor({"loss": MEASURE})),
    "multi_transform": lambda: optax.multi_transform({"all": optax.adam(0.05)}, labels),
    "nadam": lambda: optax.nadam(0.05),
    "nadamw": lambda: optax.nadamw(0.05),
    "named_chain": lambda: optax.named_chain(("clip", optax.clip(1.0)), ("search", searching())),
    "noisy_sgd": lambda: optax.noisy_sgd(0.05, eta=1e-4, key=KEY),
    "normalize_by_update_norm": lambda: before_sgd(optax.normalize_by_update_norm()),
    "novograd": lambda: optax.novograd(0.05),
    "optimistic_adam": lambda: optax.optimistic_adam(0.05, 0.5),
    "optimistic_adam_v2": lambda: optax.optimistic_adam_v2(0.05),
    "optimistic_gradient_descent": lambda: optax.optimistic_gradient_descent(0.05),
    "partition": lambda: optax.partition({"all": searching()}, labels),
    "polyak_sgd": lambda: optax.polyak_sgd(),
    "radam": lambda: optax.radam(0.05),
    "rmsprop": lambda: optax.rmsprop(0.05),
    "rprop": lambda: optax.rprop(0.05),
    "scale": lambda: before_sgd(optax.scale(2.0)),
    "scale_by_adadelta": lambda: before_sgd(optax.scale_by_adadelta()),
    "scale_by_adam": lambda: before_sgd(optax.scale_by_adam()),
    "scale_by_adamax": lambda: before_sgd(optax.scale_by_adamax()),
    "scale_by_adan": lambda: before_sgd(optax.scale_by_adan()),
    "scale_by_amsgrad": lambda: before_sgd(optax.scale_by_amsgrad()),
    "scale_by_backtracking_linesearch": lambda: after_sgd(optax.scale_by_backtracking_linesearch(5, store_grad=True)),
    "scale_by_belief": lambda: before_sgd(optax.scale_by_belief()),
    "scale_by_distance_over_gradients": lambda: before_sgd(optax.scale_by_distance_over_gradients()),
    "scale_by_factored_rms": lambda: before_sgd(optax.scale_by_factored_rms()),
    "scale_by_lbfgs": lambda: before_sgd(optax.scale_by_lbfgs()),
    "scale_by_learning_rate": lambda: optax.scale_by_learning_rate(0.05),
    "scale_by_lion": lambda: before_sgd(optax.scale_by_lion()),
    "scale_by_novograd": lambda: before_sgd(optax.scale_by_novograd()),
    "scale_by_optimistic_gradient": lambda: before_sgd(optax.scale_by_optimistic_gradient()),
    "scale_by_param_block_norm": lambda: before_sgd(optax.scale_by_param_block_norm()),
    "scale_by_param_block_rms": lambda: before_sgd(optax.scale_by_param_block_rms()),
    "scale_by_polyak": lambda: after_sgd(optax.scale_by_polyak()),
    "scale_by_radam": lambda: before_sgd(optax.scale_by_radam()),
    "scale_by_rms": lambda: before_sgd(optax.scale_by_rms()),
    "scale_by_rprop": lambda: before_sgd(optax.scale_by_rprop(0.05)),
    "scale_by_rss": lambda: before_sgd(optax.scale_by_rss()),
    "scale_by_schedule": lambda: before_sgd(optax.scale_by_schedule(optax.constant_schedule(1.0))),
    "scale_by_sign": lambda: before_sgd(optax.scale_by_sign()),
    "scale_by_sm3": lambda: before_sgd(optax.scale_by_sm3()),
    "scale_by_stddev": lambda: before_sgd(optax.scale_by_stddev()),
    "scale_by_trust_ratio": lambda: before_sgd(optax.scale_by_trust_ratio()),
    "scale_by_yogi": lambda: before_sgd(optax.scale_by_yogi()),
    "scale_by_zoom_linesearch": lambda: after_sgd(optax.scale_by_zoom_linesearch(5)),
    "selective_transform": lambda: optax.selective_transform(SGD, freeze_mask=MASK),
    "set_to_zero": lambda: optax.chain(optax.masked(optax.set_to_zero(), MASK), SGD),
    "sgd": lambda: SGD,
    "sign_sgd": lambda: optax.sign_sgd(0.05),
    "signum": lambda: optax.signum(0.05),
    "sm3": lambda: optax.sm3(0.05),
    "snapshot": lambda: before_sgd(optax.snapshot("norm", optax.tree.norm)),
    "stateless": lambda: before_sgd(optax.stateless(lambda updates, params: updates)),
    "stateless_with_tree_map": lambda: before_sgd(optax.stateless_with_tree_map(lambda update, param: update)),
    "trace": lambda: before_sgd(optax.trace(0.5)),
    "with_extra_args_support": lambda: optax.with_extra_args_support(SGD),
    "yogi": lambda: optax.yogi(0.05),
    "zero_nans": lambda: before_sgd(optax.zero_nans()),
}
UPHILL = optax.chain(optax.contrib.normalize(), optax.sgd(0.05))
CONTRIB: Mapping[str, Callable[[], Any]] = {
    "acprop": lambda: optax.contrib.acprop(0.05),
    "ademamix": lambda: optax.contrib.ademamix(0.05),
    "adopt": lambda: optax.contrib.adopt(0.05),
    "cocob": lambda: optax.contrib.cocob(),
    "dadapt_adamw": lambda: optax.contrib.dadapt_adamw(),
    "dog": lambda: optax.contrib.dog(),
    "dowg": lambda: optax.contrib.dowg(),
    "galore": lambda: optax.contrib.galore(0.05, rank=2),
    "hutchinson_estimator_diag_hessian": lambda: optax.contrib.sophia(
        0.05, hessian_diagonal_fn=optax.contrib.hutchinson_estimator_diag_hessian(jax.random.PRNGKey(1))
    ),
    "madgrad": lambda: optax.contrib.madgrad(0.05),
    "mechanize": lambda: optax.contrib.mechanize(searching()),
    "momo": lambda: optax.contrib.momo(0.05),
    "momo_adam": lambda: optax.contrib.momo_adam(0.05),
    "muon": lambda: optax.contrib.muon(0.05),
    "normalize": lambda: before_sgd(optax.contrib.normalize()),
    "prodigy": lambda: optax.contrib.prodigy(),
    "reduce_on_plateau": lambda: after_sgd(optax.contrib.reduce_on_plateau(patience=2)),
    "sam": lambda: optax.contrib.sam(SGD, UPHILL, opaque_mode=True),
    "scale_by_acprop": lambda: before_sgd(optax.contrib.scale_by_acprop()),
    "scale_by_ademamix": lambda: before_sgd(optax.contrib.scale_by_ademamix()),
    "scale_by_adopt": lambda: before_sgd(optax.contrib.scale_by_adopt()),
    "scale_by_cocob": lambda: optax.contrib.scale_by_cocob(),
    "scale_by_galore": lambda: before_sgd(optax.contrib.scale_by_galore(rank=2)),
    "scale_by_madgrad": lambda: optax.contrib.scale_by_madgrad(0.05),
    "scale_by_muon": lambda: before_sgd(
        optax.masked(optax.contrib.scale_by_muon(weight_dimension_numbers=all_matrices), MATRICES)
    ),
    "scale_by_simplified_ademamix": lambda: before_sgd(optax.contrib.scale_by_simplified_ademamix()),
    "schedule_free": lambda: optax.contrib.schedule_free(SGD, 0.05),
    "schedule_free_adamw": lambda: optax.contrib.schedule_free_adamw(0.05),
    "schedule_free_sgd": lambda: optax.contrib.schedule_free_sgd(0.05),
    "simplified_ademamix": lambda: optax.contrib.simplified_ademamix(0.05),
    "sophia": lambda: optax.contrib.sophia(0.05),
    "split_real_and_imaginary": lambda: optax.contrib.split_real_and_imaginary(optax.adam(0.05)),
}
# Other forms, and combinations of optimizers with different arguments.
FORMS: Mapping[str, Callable[[], Any]] = {
    "lbfgs with backtracking": lambda: optax.lbfgs(linesearch=optax.scale_by_backtracking_linesearch(10)),
    "lbfgs without a line search": lambda: optax.lbfgs(0.05, linesearch=None),
    "sam with a batch for each step": lambda: optax.contrib.sam(SGD, UPHILL),
    "sam in a chain": lambda: optax.chain(optax.clip(1.0), optax.contrib.sam(SGD, UPHILL, opaque_mode=True)),
    "sam with a batch for each step in a chain": lambda: optax.chain(optax.contrib.sam(SGD, UPHILL), optax.identity()),
    "momo in several steps": lambda: optax.MultiSteps(optax.contrib.momo(0.05), 2),
    "multi steps as a transformation": lambda: optax.MultiSteps(optax.adam(0.05), 2).gradient_transformation(),
    "line search and plateau": lambda: optax.chain(
        SGD, optax.scale_by_backtracking_linesearch(5), optax.contrib.reduce_on_plateau(patience=2)
    ),
    "line search and sophia": lambda: optax.chain(
        optax.contrib.sophia(0.05), optax.scale_by_backtracking_linesearch(3)
    ),
    "schedule free over plateau": lambda: optax.contrib.schedule_free(
        optax.chain(SGD, optax.contrib.reduce_on_plateau(patience=2)), 0.05
    ),
}
REFUSED: Mapping[str, tuple[Callable[[], Any], str]] = {
    "lookahead": (lambda: optax.lookahead(SGD, 2, 0.5), "optax.lookahead, which trains pairs of parameters"),
    "differentially_private_aggregate": (
        lambda: before_sgd(optax.contrib.differentially_private_aggregate(1.0, 0.1, key=KEY)),
        "differentially_private_aggregate, which takes the gradient of each example",
    ),
    "dpsgd": (
        lambda: optax.contrib.dpsgd(0.05, 1.0, 0.1, seed=0),
        "differentially_private_aggregate, which takes the gradient of each example",
    ),
}


@pytest.mark.parametrize(("module", "table"), [(optax, OPTAX), (optax.contrib, CONTRIB)])
def test_every_public_name_is_in_a_table(module: ModuleType, table: Mapping[str, Any]) -> None:
    values = {name: getattr(module, name) for name in dir(module) if not name.startswith("_")}
    kept_states = {name for name, value in values.items() if isinstance(value, type) and issubclass(value, tuple)}
    names = {name for name, value in values.items() if not inspect.ismodule(value)}
    refused = {name for name in REFUSED if name in names}
    ours = {*OTHERS[module].split(), *table, *refused}
    kinds = {"GradientTransformation", "GradientTransformationExtraArgs"}
    assert ours - kinds == names - kept_states
    assert len(ours) == len(OTHERS[module].split()) + len(table) + len(refused)


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Reduces compile times, as each function runs for only a few steps."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with compiling_quickly(optax_factory):
        yield
    jax.config.update("jax_disable_most_optimizations", before)


# --- training ---------------------------------------------------------------------------------------------------------


def quadratic() -> Any:
    """A workload view whose loss is the squared distance of the parameters from 0.5, in 2 x 2 and 2 directions."""

    def model_fn(params: Any, batch: Any, model_state: Any, mode: Any, rng: Any, **options: Any) -> Any:
        del batch, mode, rng, options
        return sum(jnp.sum((leaf - 0.5) ** 2) for leaf in jax.tree.leaves(params)), model_state

    def loss_fn(logits_batch: Any, **rest: Any) -> Any:
        del rest
        return {"summed": logits_batch, "n_valid_examples": 1.0}

    return SimpleNamespace(model_fn=model_fn, loss_fn=loss_fn, metrics_logger=None)


class Training:
    """Training on the quadratic: parameters and optimizer state."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self.view = quadratic()
        self.functions = make_functions(lambda hyperparameters, workload: make())
        self.params: Any = {"kernel": jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), "bias": jnp.asarray([2.0, 1.5])}
        self.state = self.functions.init_optimizer_state(self.view, self.params, None, SimpleNamespace(), KEY)

    def step(self, count: int) -> list[float]:
        """Takes steps; returns the loss before each and after the last."""
        losses = [self.loss()]
        for _ in range(count):
            self.state, self.params, _ = self.functions.update_params(
                workload=self.view,
                current_param_container=self.params,
                model_state=None,
                batch={"targets": None},
                optimizer_state=self.state,
                global_step=1,
                rng=KEY,
            )
            losses.append(self.loss())
        return losses

    def loss(self) -> float:
        return float(self.view.model_fn(self.params, None, None, None, None)[0])


# Optimizers that accept more than gradients, or have parts that may, and one that does not.
OFFERED = """
    MultiSteps apply_if_finite chain conditionally_mask conditionally_transform masked monitor named_chain partition
    lbfgs polyak_sgd scale_by_zoom_linesearch scale_by_backtracking_linesearch
    hutchinson_estimator_diag_hessian mechanize momo momo_adam prodigy reduce_on_plateau sam schedule_free sophia adam
"""


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    "name",
    [
        *OFFERED.split(),
        *FORMS,
        *(pytest.param(name, marks=pytest.mark.slow) for name in (*OPTAX, *CONTRIB) if name not in OFFERED.split()),
    ],
)
def test_an_optimizer_of_optax_trains(name: str) -> None:
    losses = Training({**OPTAX, **CONTRIB, **FORMS}[name]).step(4)
    assert np.all(np.isfinite(losses))
    assert losses[-1] < losses[0]


def test_injected_hyperparameters_train_as_plain_ones() -> None:
    """optax casts them to the type of the parameters: in bfloat16, Adam's 0.999 would be 1, and the update NaN."""
    plain = Training(lambda: optax.adam(0.05)).step(3)
    injected = Training(lambda: optax.inject_hyperparams(optax.adam)(0.05)).step(3)
    np.testing.assert_allclose(injected, plain, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_optimizers_that_the_train_step_does_not_support_are_named(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(SubmissionError, match=words):
        Training(make)


@pytest.mark.parametrize("name", ["monitor", "lbfgs with backtracking", "momo in several steps", "sam in a chain"])
def test_states_other_than_moments_are_restored_from_a_checkpoint(name: str) -> None:
    make = {**OPTAX, **FORMS}[name]
    whole, again = Training(make), Training(make)
    whole.step(3)
    packed = jax_packing.pack((whole.params, whole.state[0]))
    kept = Packed({key: np.array(array) for key, array in packed.arrays.items()}, packed.values)
    again.params, state = jax_packing.unpack(
        (again.params, again.state[0]), kept, lambda array, template: jnp.asarray(array)
    )
    again.state = (state, *again.state[1:])
    assert again.step(3) == whole.step(3)
