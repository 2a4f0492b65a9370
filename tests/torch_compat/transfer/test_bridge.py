"""The bridge: a JAX model as a PyTorch module, compared with native twins and with PyTorch's own modules."""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import workloads
from algoperf_jax import parameters
from tests import golden_support
from tests.algoperf_jax import tiny_workload
from tests.torch_compat import module_support
from tests.workloads import reduced
from torch_compat import twins
from torch_compat.transfer import bridge, jax_function
from torch_compat.transfer.crossing import host_to_torch
from torch_compat.transfer.jax_function import JaxFunction, Outputs
from torch_compat.transfer.parameter_transfer import ParameterTransfer
from torch_compat.transfer.torch_model import TorchModel

# Sums in a different order in float32; gradients as in `tests/workloads/test_golden_models.py`, where a relu may
# switch.
RTOL = {
    "cifar": 2e-3,
    "criteo1tb": 1e-5,
    "fastmri": 2e-3,
    "finewebedu_lm": 1e-4,
    "imagenet_resnet": 2e-3,
    "imagenet_vit": 1e-4,
    "librispeech_conformer": 2e-3,
    "librispeech_deepspeech": 2e-3,
    "mnist": 1e-4,
    "ogbg": 1e-5,
    "wmt": 1e-4,
}

# What may remain of gradients that are zero, such as those of biases that change all scores of a query alike; relative
# to the largest gradient, about the precision of float32.
ROUNDING = 5e-8


@pytest.fixture(scope="module", autouse=True)
def quick_compilation() -> Iterator[None]:
    """Each pass runs once or a few times."""
    with golden_support.compiling_quickly(jax_function):
        yield


def tensors(tree: Any) -> Any:
    types = {"f": torch.float32, "i": torch.int64, "b": torch.bool}
    return jax.tree.map(lambda leaf: host_to_torch(np.asarray(leaf), types[np.asarray(leaf).dtype.kind]), tree)


def golden_batch(name: str, model: TorchModel) -> dict[str, Any]:
    batch = reduced.batch(name)
    batch = {**batch, "inputs": model.arrange(batch["inputs"]), "weights": batch["weights"] != 0}
    return tensors(batch)


@functools.cache
def trained(name: str, kind: str) -> tuple[Any, Any, Any, Any]:
    """Logits, loss, gradients by path and running statistics by path after a training pass on the golden batch."""
    workload = reduced.load(name)
    model = bridge.build(workload) if kind == "bridge" else twins.load(workload)
    assert model is not None
    params, state = golden_support.recipe_state(workload)
    module = module_support.filled(model, params, state)
    batch = golden_batch(name, model)
    logits = module(batch, dropout_rate=0.0)
    loss = model.loss(batch["targets"], logits, batch["weights"], 0.1)
    (loss.summed / loss.n_valid_examples).backward()
    return (
        jax.tree.map(torch.Tensor.detach, logits),
        loss,
        module_support.gradients(model, module, params),
        module_support.statistics(model, module),
    )


def close(ours: Any, theirs: Any, rtol: float) -> None:
    """Compares arrays, or trees of them."""

    def compare(mine: Any, other: Any) -> None:
        mine, other = np.asarray(mine), np.asarray(other)
        np.testing.assert_allclose(mine, other, rtol=0, atol=rtol * np.abs(other).max())

    jax.tree.map(compare, ours, theirs)


@pytest.mark.parametrize("name", workloads.base_names())
def test_passes_loss_and_gradients_are_those_of_the_twin(name: str) -> None:
    logits, loss, gradients, statistics = trained(name, "bridge")
    twin_logits, twin_loss, twin_gradients, twin_statistics = trained(name, "twin")
    close(logits, twin_logits, 1e-5)
    for field in ("summed", "n_valid_examples", "per_example"):
        close(getattr(loss, field).detach(), getattr(twin_loss, field).detach(), 1e-5)
    assert sorted(gradients) == sorted(twin_gradients)
    norms = {path: np.linalg.norm(gradient) for path, gradient in twin_gradients.items()}
    rounding = ROUNDING * max(1, *norms.values())
    for path, gradient in gradients.items():
        assert np.linalg.norm(gradient - twin_gradients[path]) <= 5 * RTOL[name] * norms[path] + rounding, path
    assert sorted(statistics) == sorted(twin_statistics)
    for path, values in statistics.items():
        close(values, twin_statistics[path], 1e-5)


def test_statistics_are_used_and_kept_as_the_mode_says() -> None:
    workload = workloads.load("cifar")
    model = bridge.build(workload)
    module: Any = module_support.filled(model, *golden_support.recipe_state(workload))
    golden, batch = golden_support.numbers("cifar"), golden_batch("cifar", model)
    before = [buffer.clone() for buffer in module.buffers()]
    assert sum(hasattr(child, "running_mean") for child in module.modules()) == 20
    module.update_statistics = False
    with torch.no_grad():
        close(module(batch, dropout_rate=0.0), golden["train/logits"], 2e-5)
        close(module.eval()(batch, dropout_rate=0.0), golden["eval/logits"], 2e-5)
        module.update_statistics = True
        close(module(batch, dropout_rate=0.0), golden["eval/logits"], 2e-5)
    assert all(torch.equal(old, new) for old, new in zip(before, module.buffers(), strict=True))
    with torch.no_grad():
        module.train()(batch, dropout_rate=0.0)
    assert not any(torch.equal(old, new) for old, new in zip(before, module.buffers(), strict=True))


# --- what submissions do with a module, on a workload without a twin ------------------------------------------------

WORKLOAD = tiny_workload.build("tiny")
MODEL = bridge.build(WORKLOAD)


def tiny_module() -> torch.nn.Module:
    module = MODEL.make_module()
    transfer = ParameterTransfer(MODEL.parameters, MODEL.buffers, jax.eval_shape(WORKLOAD.init, jax.random.PRNGKey(0)))
    transfer.to_module(*WORKLOAD.init(jax.random.PRNGKey(1)), module)
    return module


def tiny_batch() -> dict[str, Any]:
    return tensors(dict(tiny_workload.points("train")) | {"weights": np.ones(256, bool)})


def mean_loss(module: torch.nn.Module, batch: Any, dropout_rate: float = 0.0) -> torch.Tensor:
    loss = MODEL.loss(batch["targets"], module(batch, dropout_rate=dropout_rate), batch["weights"])
    return loss.summed / loss.n_valid_examples


def jax_gradients(module: torch.nn.Module, batch: Any) -> dict[str, np.ndarray]:
    """Gradients at the module's present parameters, from JAX alone."""
    transfer = ParameterTransfer(MODEL.parameters, MODEL.buffers, jax.eval_shape(WORKLOAD.init, jax.random.PRNGKey(0)))
    params, _ = transfer.from_module(module, "a test")
    arrays = {name: jnp.asarray(tensor.numpy()) for name, tensor in batch.items()}

    def objective(params: Any) -> Any:
        logits, _ = WORKLOAD.apply(params, None, arrays, None, train=False, update_batch_norm=False)
        loss = WORKLOAD.loss(arrays["targets"], logits, arrays["weights"])
        return loss.summed / loss.n_valid_examples

    return {path: np.asarray(leaf) for path, leaf in parameters.paths(jax.jit(jax.grad(objective))(params)).items()}


def assert_gradients(module: torch.nn.Module, expected: dict[str, np.ndarray], scale: float = 1.0) -> None:
    params, _ = jax.eval_shape(WORKLOAD.init, jax.random.PRNGKey(0))
    for path, gradient in module_support.gradients(MODEL, module, params).items():
        np.testing.assert_allclose(gradient, scale * expected[path], rtol=1e-5, atol=1e-7, err_msg=path)


def test_names_are_those_of_jax_joined_by_dots() -> None:
    assert [name for name, _ in tiny_module().named_parameters()] == [
        "Dense_0.bias",
        "Dense_0.kernel",
        "Dense_1.bias",
        "Dense_1.kernel",
    ]


def test_backward_passes_add_up_and_follow_the_parameters() -> None:
    module, batch = tiny_module(), tiny_batch()
    expected = jax_gradients(module, batch)
    for count in (1, 2):
        mean_loss(module, batch).backward()
        assert_gradients(module, expected, scale=count)
    module.zero_grad()
    with torch.no_grad():  # as sharpness-aware and schedule-free methods do between two passes
        for parameter in module.parameters():
            parameter.data = parameter.data + 0.1
    mean_loss(module, batch).backward()
    assert_gradients(module, jax_gradients(module, batch))


def test_writing_between_the_passes_disturbs_nothing() -> None:
    """The derivative has its own copies, so parameters, inputs and logits may be overwritten before it is computed."""
    module, batch = tiny_module(), tiny_batch()
    expected = jax_gradients(module, batch)
    logits = module(batch, dropout_rate=0.0)
    loss = MODEL.loss(batch["targets"], logits, batch["weights"])
    mean = loss.summed / loss.n_valid_examples
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.data.mul_(-3)
        batch["inputs"].zero_()
        batch["targets"].zero_()
        logits.data.zero_()
    mean.backward()
    assert_gradients(module, expected)


def test_outputs_may_be_changed_in_place() -> None:
    module, batch = tiny_module(), tiny_batch()
    logits = module(batch, dropout_rate=0.0)
    expected = logits.detach().clone() * 2
    torch.testing.assert_close(logits.mul_(2), expected)
    logits.sum().backward()  # an expanded gradient
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_optimizers_clip_and_step() -> None:
    module, batch = tiny_module(), tiny_batch()
    optimizer = torch.optim.NAdam(module.parameters(), lr=0.05, foreach=True)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = mean_loss(module, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_without_gradients_no_derivative_is_kept() -> None:
    module, batch = tiny_module(), tiny_batch()
    with torch.no_grad():
        assert not module(batch, dropout_rate=0.0).requires_grad
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    assert not module(batch, dropout_rate=0.0).requires_grad


def test_each_pass_draws_new_dropout_from_pytorchs_random_state() -> None:
    module, batch = tiny_module(), tiny_batch()

    def logits() -> torch.Tensor:
        return module(batch, dropout_rate=0.5).detach()

    state = torch.get_rng_state()
    first, second = logits(), logits()
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(logits(), first)
    module.eval()
    assert torch.equal(logits(), logits())


def test_a_copy_is_an_independent_module() -> None:
    module, batch = tiny_module(), tiny_batch()
    twin = copy.deepcopy(module)
    with torch.no_grad():
        next(twin.parameters()).add_(1)
    assert not torch.equal(module(batch, dropout_rate=0.0), twin(batch, dropout_rate=0.0))


def test_gradients_of_inputs_are_refused() -> None:
    batch = tiny_batch()
    batch["inputs"].requires_grad_()
    with pytest.raises(ValueError, match="no gradients to the inputs"):
        tiny_module()(batch, dropout_rate=0.0)


def test_64_bit_inputs_are_refused() -> None:
    batch = tiny_batch()
    batch["inputs"] = batch["inputs"].double()
    with pytest.raises(TypeError, match=r"torch\.float64 .* cannot cross to JAX"):
        tiny_module()(batch, dropout_rate=0.0)


def test_a_pass_is_compiled_once() -> None:
    module: Any = tiny_module()
    for _ in range(3):
        mean_loss(module, tiny_batch(), dropout_rate=0.3).backward()
    function = module._passes[True, True]
    assert function.run_and_keep._cache_size() == 1
    assert function.apply_derivative._cache_size() == 1


@pytest.mark.parametrize("kept", [lambda x: jnp.exp(x), lambda x: x * x], ids=["output", "input"])
def test_arrays_kept_for_the_derivative_are_not_those_returned(kept: Callable[[Any], Any]) -> None:
    """The derivative of exp is its own output, that of a square needs its input."""
    function = JaxFunction(lambda leaves, constants: Outputs(kept(leaves[0]), ()))
    tensor = torch.arange(1.0, 4.0, requires_grad=True)
    expected = jax.vmap(jax.grad(kept))(jnp.arange(1.0, 4.0))
    output, _ = function([tensor], ())
    output.data.zero_()
    tensor.data.zero_()
    output.backward(torch.ones(3))
    assert tensor.grad is not None
    np.testing.assert_allclose(tensor.grad.numpy(), expected, rtol=1e-6)
