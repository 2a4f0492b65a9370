"""Every twin against its JAX model, and against the reference's names and numbers.

Twin and JAX model are compared in float64, where rounding hides nothing: either they compute the same function or they
do not. With the reference numbers they are compared in float32, in which submissions run.
"""

import copy
import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import torch
from torch.nn import functional

import workloads
from algoperf_jax import parameters
from algoperf_jax.workload import Placement
from tests import golden_support
from tests.torch_compat import module_support
from tests.workloads import reduced
from tests.workloads.golden_batches import BATCHES, CASES, TRAINING_BATCHES
from tests.workloads.test_golden_models import (
    DEFAULT_GRADIENTS_RTOL,
    DEFAULT_STATISTICS_RTOL,
    GRADIENTS_RTOL,
    ONLY_ROUNDING,
    STATISTICS_RTOL,
    logits_close,
    of_reference,
    widened,
)
from torch_compat import twins
from torch_compat.layers.batch_norm import BatchNorm2d
from torch_compat.transfer.torch_model import TorchModel

LISTINGS = pathlib.Path(__file__).parents[1] / "golden" / "torch_params"
NAMES = sorted(path.stem for path in LISTINGS.glob("*.json"))
# Rounding of float64: seen are at most 5e-14, in mnist, whose inputs of several hundred amplify it.
FLOAT64_RTOL = 1e-12
# Gradients of biases that move all scores of a query alike are zero but for rounding.
FLOAT64_ATOL = 1e-14
WITHOUT_COUNTERPART = (
    *("num_batches_tracked", "pos_encoder.pe", "freqs_cis"),
    *("_normalizer_mean", "_normalizer_stddev", "stft.window", "paddings_kernel", "inv_timescales", "bn.dim"),
)
"""Buffers that JAX does not have, or computes: the ends of their names."""


def listing(name: str) -> dict[str, Any]:
    """The reference's tensors: `params` and `buffers`, rows of name, shape, dtype and more."""
    return json.loads((LISTINGS / f"{name}.json").read_text())


def load(name: str) -> TorchModel:
    twin = twins.load(workloads.load(name))
    assert twin is not None
    return twin


def described(tensors: Any) -> list[list[Any]]:
    return [[name, list(tensor.shape), str(tensor.dtype).removeprefix("torch.")] for name, tensor in tensors]


@pytest.mark.parametrize("name", NAMES)
def test_tensors_are_called_and_ordered_as_in_the_reference(name: str) -> None:
    twin, expected = load(name), listing(name)
    module = twin.make_module()
    assert module.training
    assert described(module.named_parameters()) == [row[:3] for row in expected["params"]]
    assert described(module.named_buffers()) == expected["buffers"]
    assert list(twin.parameters) == [row[0] for row in expected["params"]]
    assert list(twin.buffers) == [row[0] for row in expected["buffers"] if not row[0].endswith(WITHOUT_COUNTERPART)]


@pytest.mark.parametrize("name", NAMES)
def test_the_maps_take_every_array_once(name: str) -> None:
    twin = load(name)
    params, state = jax.eval_shape(workloads.load(name).init, jax.random.PRNGKey(0))
    for leaves, tree in ((twin.parameters, params), (twin.buffers, state or {})):
        # Of an array in several tensors, the transfer checks the other rows.
        parts = [part for leaf in leaves.values() for part in leaf.parts if not part.is_addend]
        paths = [part.path for part in parts if part.first_row == 0]
        assert sorted(paths) == sorted(parameters.paths(tree))


def test_a_workload_without_twin_has_none() -> None:
    workload = dataclasses.replace(workloads.load("mnist"), base_name="mnist_without_twin")
    assert twins.load(workload) is None


class Outcome(NamedTuple):
    """What a model computes: logits and, by path, gradients and new running statistics.

    Logits are arrays, or pairs of them with the paddings.
    """

    evaluated: Any
    trained: Any
    gradients: Mapping[str, np.ndarray]
    statistics: Mapping[str, np.ndarray]


def coefficients(shape: tuple[int, ...]) -> np.ndarray:
    """Of an objective that gives every logit a say: the sum of coefficients times squared logits."""
    return np.random.default_rng(0).standard_normal(shape)


def scores_of(logits: Any) -> Any:
    """The logits without the paddings."""
    return logits[0] if isinstance(logits, tuple) else logits


def in_jax(name: str) -> Outcome:
    workload = reduced.load(name)
    params, state = widened(golden_support.recipe_state(workload))
    batch = widened(reduced.batch(name))
    is_quick = CASES[workload.base_name].compiles_quickly
    options = golden_support.COMPILE_QUICKLY if is_quick else golden_support.COMPILE_FLOAT64
    with jax.enable_x64(True):
        apply = functools.partial(workload.apply, rng=jax.random.PRNGKey(0), dropout_rate=0.0)

        def objective(params: Any, state: Any, batch: Any) -> tuple[Any, tuple[Any, Any]]:
            logits, new_state = apply(params, state, batch, train=True, update_batch_norm=True)
            scores = scores_of(logits)
            return (coefficients(scores.shape) * scores**2).sum(), (logits, new_state)

        @functools.partial(jax.jit, compiler_options=options)
        def run(params: Any, state: Any, batch: Any) -> Any:
            evaluated, _ = apply(params, state, batch, train=False, update_batch_norm=False)
            gradients, (trained, new_state) = jax.grad(objective, has_aux=True)(params, state, batch)
            return evaluated, trained, parameters.paths(gradients), parameters.paths(new_state or {})

        return Outcome(*jax.tree.map(np.asarray, run(params, state, batch)))


def in_torch(name: str) -> Outcome:
    workload = reduced.load(name)
    twin = twins.load(workload)
    assert twin is not None
    params, state = widened(golden_support.recipe_state(workload))
    module = module_support.filled(twin, params, state)
    batch = module_support.batch(twin, widened(reduced.batch(name)))
    evaluated = module.eval()(batch, dropout_rate=0.0)
    trained = module.train()(batch, dropout_rate=0.0)
    scores = scores_of(trained)
    (torch.from_numpy(coefficients(tuple(scores.shape))) * scores**2).sum().backward()
    evaluated, trained = jax.tree.map(lambda tensor: tensor.detach().numpy(), (evaluated, trained))
    return Outcome(
        evaluated,
        trained,
        module_support.gradients(twin, module, params),
        module_support.statistics(twin, module),
    )


def golden_batch(twin: TorchModel, name: str) -> Any:
    return module_support.batch(twin, BATCHES[name](golden_support.numbers(name)))


def same(actual: np.ndarray, expected: np.ndarray, what: str, atol: float = FLOAT64_ATOL) -> None:
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype == np.float64, what
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=max(FLOAT64_RTOL * np.abs(expected).max(), atol), err_msg=what
    )


def same_logits(actual: Any, expected: Any, what: str) -> None:
    assert isinstance(actual, tuple) == isinstance(expected, tuple)
    same(scores_of(actual), scores_of(expected), what)
    if isinstance(actual, tuple):
        np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_computes_what_the_jax_model_computes(name: str) -> None:
    ours, theirs = in_torch(name), in_jax(name)
    same_logits(ours.evaluated, theirs.evaluated, "evaluation logits")
    same_logits(ours.trained, theirs.trained, "training logits")
    largest = max(np.abs(gradient).max() for gradient in theirs.gradients.values())
    for mine, other in ((ours.gradients, theirs.gradients), (ours.statistics, theirs.statistics)):
        assert sorted(mine) == sorted(other)
        for path, values in mine.items():
            same(values, other[path], path, FLOAT64_ATOL * max(1, largest))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_reference_numbers(name: str) -> None:
    workload, golden = of_reference(name), golden_support.numbers(name)
    twin = twins.load(workload)
    assert twin is not None
    params, state = golden_support.recipe_state(workload)
    module = module_support.filled(twin, params, state)
    evaluated = module.eval()(golden_batch(twin, name), dropout_rate=0.0)
    logits_close(name, "eval", jax.tree.map(torch.Tensor.detach, evaluated), golden["eval/logits"])
    batch = module_support.batch(twin, TRAINING_BATCHES[name](golden))
    logits = module.train()(batch, dropout_rate=0.0)
    logits_close(name, "train", jax.tree.map(torch.Tensor.detach, logits), golden["train/logits"])

    targets = jax.tree.map(lambda part: part if part.is_floating_point() else part.long(), batch["targets"])
    loss = twin.loss(targets, logits, batch["weights"])
    (loss.summed / loss.n_valid_examples).backward()
    rtol = GRADIENTS_RTOL.get(name, DEFAULT_GRADIENTS_RTOL)
    golden_support.assert_gradients_match(
        module_support.gradients(twin, module, params), golden, rtol=rtol, only_rounding=ONLY_ROUNDING.get(name, ())
    )

    ours = module_support.statistics(twin, module)
    stats = {path.removeprefix("batch_stats/"): values for path, values in ours.items()}
    rtol = STATISTICS_RTOL.get(name, DEFAULT_STATISTICS_RTOL)
    golden_support.assert_statistics_match(stats, golden, rtol=rtol)


@pytest.mark.parametrize("name", ["cifar", "mnist"])
def test_images_are_arranged_without_a_copy(name: str) -> None:
    images = BATCHES[name](golden_support.numbers(name))["inputs"]
    arranged = load(name).arrange(images)
    batch, height, width, channels = images.shape
    assert arranged.shape == (batch, channels, height, width)
    assert np.shares_memory(arranged, images)
    np.testing.assert_array_equal(arranged[1, channels - 1, 2, 3], images[1, 2, 3, channels - 1])


def molecule_module() -> torch.nn.Module:
    return module_support.filled(load("ogbg_silu"), *golden_support.recipe_state(workloads.load("ogbg_silu")))


def test_stacked_shards_of_molecules_give_what_each_gives_alone() -> None:
    twin, module = load("ogbg"), molecule_module().double().eval()
    data = workloads.load("ogbg").data
    graph = widened(data.open("train", batch_size=32, seed=0, placement=Placement()).batch(0)["inputs"])
    shards = [graph._replace(**{k: v[i] for k, v in graph._asdict().items() if v is not None}) for i in range(8)]

    def logits(graph: Any) -> np.ndarray:
        return module({"inputs": module_support.tensors(twin.arrange(graph))}, dropout_rate=0.0).detach().numpy()

    same(logits(graph), np.concatenate([logits(shard) for shard in shards]), "logits")


def test_molecules_are_arranged_as_one_flat_graph() -> None:
    twin, shard = load("ogbg"), BATCHES["ogbg"](golden_support.numbers("ogbg"))["inputs"]
    stacked = jax.tree.map(lambda array: np.concatenate([array, array]), shard)
    flat = twin.arrange(stacked)
    num_nodes = stacked.nodes.shape[1]
    assert flat.globals is None
    assert np.shares_memory(flat.nodes, stacked.nodes)
    assert np.shares_memory(flat.edges, stacked.edges)
    for field in ("senders", "receivers"):
        index = getattr(stacked, field)
        np.testing.assert_array_equal(getattr(flat, field), np.concatenate([index[0], index[1] + num_nodes]))
    for field in ("senders", "receivers", "n_node", "n_edge"):
        assert getattr(flat, field).dtype == np.int64
        assert getattr(flat, field).shape == (getattr(stacked, field).size,)
    jax.tree.map(np.testing.assert_array_equal, twin.arrange(flat), flat)


def test_dropout_acts_in_training_only() -> None:
    batch, module = golden_batch(load("ogbg"), "ogbg"), molecule_module()
    evaluated = module.eval()(batch, dropout_rate=0.9)
    torch.testing.assert_close(module.train()(batch, dropout_rate=0.0), evaluated, rtol=0, atol=0)
    assert not torch.allclose(module(batch, dropout_rate=0.1), evaluated, rtol=0.1)


def test_dropout_zeroes_half_and_doubles_the_rest() -> None:
    update: Any = molecule_module().get_submodule("graph_network.0.update_edge_fn")
    hidden = torch.from_numpy(np.random.default_rng(0).standard_normal((100, 256), np.float32))
    kept, dropped = update.eval()(hidden, dropout_rate=0.0), update.train()(hidden, dropout_rate=0.5)
    # Five standard deviations of the share of zeros among 25,600.
    assert abs((dropped == 0).double().mean().item() - 0.5) < 5 * 0.5 / 160
    torch.testing.assert_close(dropped, torch.where(dropped == 0, 0, 2 * kept))


def test_every_layer_drops_out(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def record(hidden: torch.Tensor, rate: float, training: bool) -> torch.Tensor:
        assert training
        rates.append(rate)
        return hidden

    monkeypatch.setattr(functional, "dropout", record)
    molecule_module()(golden_batch(load("ogbg"), "ogbg"), dropout_rate=0.25)
    assert rates == [0.25] * 15


def test_batch_statistics_are_used_but_not_kept_where_updates_are_off() -> None:
    twin, workload = load("cifar"), workloads.load("cifar")
    module = module_support.filled(twin, *golden_support.recipe_state(workload))
    batch = golden_batch(twin, "cifar")
    before = copy.deepcopy(module.state_dict())
    norms = [child for child in module.modules() if isinstance(child, BatchNorm2d)]
    assert len(norms) == 20
    for norm in norms:
        norm.update_statistics = False
    logits = module(batch, dropout_rate=0.0)
    logits_close("cifar", "train", logits.detach(), golden_support.numbers("cifar")["train/logits"])
    jax.tree.map(lambda old, new: torch.testing.assert_close(old, new, rtol=0, atol=0), before, module.state_dict())


DROPOUTS = {
    "criteo1tb": 1,
    "imagenet_vit": 1 + 3 * 4,
    "wmt": 2 + (4 + 6) * 2,
    "librispeech_conformer": 1 + 6 * 2,
    "librispeech_deepspeech": 1 + 1,
}
"""In criteo1tb, after the last hidden layer; after each position embedding, and in each block after each attention, in
the perceptron and after it; in wmt, of the weights of each attention too; in speech, after the convolutions that
shorten time, and in a Conformer after the convolution of each block; in the recurrent network, after each dense layer.
"""


@pytest.mark.parametrize("name", [name for name in NAMES if workloads.base_name(name) in DROPOUTS])
def test_models_drop_out_where_the_jax_models_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    workload, batch = reduced.load(name), reduced.batch(name)
    twin = twins.load(workload)
    assert twin is not None
    params, state = golden_support.recipe_state(workload)
    rates = []

    def record(hidden: torch.Tensor, p: float, training: bool) -> torch.Tensor:
        if training and p > 0:
            rates.append(p)
        return hidden

    attend = functional.scaled_dot_product_attention

    def attend_and_record(*arguments: Any, dropout_p: float, **options: Any) -> torch.Tensor:
        if dropout_p > 0:
            rates.append(dropout_p)
        return attend(*arguments, dropout_p=dropout_p, **options)

    monkeypatch.setattr(functional, "dropout", record)
    monkeypatch.setattr(functional, "scaled_dot_product_attention", attend_and_record)
    module = module_support.filled(twin, params, state)
    module(module_support.batch(twin, batch), dropout_rate=0.25)
    assert rates == [0.25] * DROPOUTS[workload.base_name]
    rates.clear()
    module.eval()(module_support.batch(twin, batch), dropout_rate=0.25)
    assert not rates

    program = jax.make_jaxpr(
        lambda key: workload.apply(params, state, batch, key, train=True, update_batch_norm=True, dropout_rate=0.25)
    )(jax.random.PRNGKey(0))
    assert num_draws(program.jaxpr) == DROPOUTS[workload.base_name]


def num_draws(program: Any) -> int:
    """How often a program draws random bits; loops count as often as they run."""
    count = 0
    for equation in program.eqns:
        if equation.primitive.name == "random_bits":
            count += equation.outvars[0].aval.size > 0
        repetitions = equation.params["length"] if equation.primitive.name == "scan" else 1
        for value in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(value, "jaxpr", value)
            count += repetitions * num_draws(inner) if hasattr(inner, "eqns") else 0
    return count


def test_positions_follow_the_parameters_and_are_no_buffers() -> None:
    workload = reduced.load("imagenet_vit")
    twin = twins.load(workload)
    assert twin is not None
    module: Any = twin.make_module()
    assert not list(module.buffers())
    for dtype in (torch.float64, torch.float32):
        module.to(dtype)
        logits = module({"inputs": torch.zeros((1, 3, 64, 64), dtype=dtype)}, dropout_rate=0.0)
        assert logits.dtype == dtype
    copied = copy.deepcopy(module)
    torch.testing.assert_close(copied._positions, module._positions, rtol=0, atol=0)


def test_positions_of_translation_are_a_buffer_that_follows_the_precision() -> None:
    twin = twins.load(reduced.load("wmt"))
    assert twin is not None
    encoder = twin.make_module().get_submodule("pos_encoder")
    single = encoder.get_buffer("pe").clone()
    double = encoder.double().get_buffer("pe")
    assert (single - double).abs().max() > 0
    torch.testing.assert_close(encoder.float().get_buffer("pe"), single, rtol=0, atol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("is_masked", [False, True], ids=["all", "masked"])
def test_the_loss_of_translation_is_that_of_jax(smoothing: float, is_masked: bool) -> None:
    workload, golden = workloads.load("wmt"), golden_support.numbers("wmt_loss")
    twin = twins.load(workload)
    assert twin is not None
    targets, weights = golden["targets"], golden["weights"] if is_masked else None
    logits = torch.tensor(golden["logits"], requires_grad=True)
    mask = None if weights is None else torch.from_numpy(weights) != 0
    ours = twin.loss(torch.from_numpy(targets).long(), logits, mask, smoothing)
    theirs = workload.loss(targets, golden["logits"], weights, smoothing)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.detach(), other, rtol=1e-6, atol=1e-6)
    (ours.summed / ours.n_valid_examples).backward()
    gradient = jax.grad(lambda logits: workload.loss(targets, logits, weights, smoothing).summed)(golden["logits"])
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, gradient / theirs.n_valid_examples, rtol=1e-5, atol=1e-7)


def test_the_parts_of_the_translation_twin_share_one_embedding() -> None:
    twin = twins.load(reduced.load("wmt"))
    assert twin is not None
    module: Any = twin.make_module()
    assert module.encoder.shared_embedding is module.decoder.shared_embedding is module.shared_embedding
