"""The U-Net on odd sizes, its dropout, the similarity, and invalid arguments."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import workloads
from algoperf_jax.errors import ConfigError
from algoperf_jax.workload import Workload
from tests import golden_support
from tests.golden_support import COMPILE_QUICKLY
from tests.workloads.fastmri.case import reconstruction_batch
from tests.workloads.golden_batches import BATCHES
from workloads.fastmri.metrics import ssim
from workloads.fastmri.workload import SIZES
from workloads.losses import mean_absolute_error

NAMES = [name for name in BATCHES if workloads.base_name(name) == "fastmri"]
CASES = ("plain", "vmonly", "full", "full_zero_vm", "padded", "anticorr", "identical", "tiny7")


@functools.cache
def small() -> tuple[Workload, Any]:
    workload = workloads.load("fastmri_small")
    return workload, golden_support.recipe_state(workload)[0]


def forward(images: np.ndarray, rate: float | None = None, *, train: bool = True, seed: int = 0) -> np.ndarray:
    logits, _ = compiled(rate, train)(small()[1], None, {"inputs": images}, jax.random.PRNGKey(seed))
    return np.asarray(logits)


@functools.cache
def compiled(rate: float | None, train: bool) -> Any:
    options = {"train": train, "update_batch_norm": train, "dropout_rate": rate}
    return jax.jit(functools.partial(small()[0].apply, **options), compiler_options=COMPILE_QUICKLY)


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((2, 32, 32), np.float32)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_that_do_not_halve(name: str) -> None:
    workload, golden = workloads.load(name), golden_support.numbers(name)
    params, _ = golden_support.recipe_state(workload)
    evaluate = jax.jit(functools.partial(workload.apply, train=False, update_batch_norm=False))
    logits, _ = evaluate(params, None, {"inputs": golden["odd/inputs"]}, jax.random.PRNGKey(0))
    # Seen: 9e-6.
    np.testing.assert_allclose(logits, golden["odd/logits"], rtol=0, atol=5e-5)


def test_dropout_acts_in_training_at_its_rate() -> None:
    evaluated = forward(images(), train=False)
    np.testing.assert_allclose(forward(images(), 0.0), evaluated, rtol=0, atol=1e-5)
    # The default.
    np.testing.assert_array_equal(forward(images()), forward(images(), 0.0))
    one, again, other = (forward(images(), 0.5, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 0.1
    np.testing.assert_array_equal(forward(images(), 0.5, train=False), evaluated)


def test_the_dropout_rate_may_be_traced() -> None:
    traced = jax.jit(forward_traced, compiler_options=COMPILE_QUICKLY)(jnp.float32(0.5))
    np.testing.assert_allclose(traced, forward(images(), 0.5), rtol=0, atol=1e-4)


def forward_traced(rate: jax.Array) -> Any:
    workload, params = small()
    batch = {"inputs": images()}
    return workload.apply(
        params, None, batch, jax.random.PRNGKey(0), train=True, update_batch_norm=True, dropout_rate=rate
    )[0]


@pytest.mark.parametrize("case", CASES)
def test_similarity(case: str) -> None:
    golden = golden_support.numbers("fastmri_ssim")
    if f"{case}/ssim" not in golden:
        pytest.skip("ALGOPERF_GOLDEN_DIR names the folder with this case")
    expected = golden[f"{case}/ssim"]
    mean, std, volume_max = (
        golden.get(f"{case}/{name}", np.full(len(expected), default, np.float32))
        for name, default in (("mean", 0), ("std", 1), ("volume_max", 1))
    )
    pair = (golden[f"{case}/{name}"] * std[:, None, None] + mean[:, None, None] for name in ("logits", "targets"))
    np.testing.assert_allclose(jax.jit(ssim)(*pair, volume_max), expected, rtol=0, atol=1e-5)


def test_similarity_does_not_depend_on_the_unit() -> None:
    one, other = np.random.default_rng(1).random((2, 3, 20, 20), np.float32)
    similarity = jax.jit(ssim)
    expected = similarity(one, other, np.ones(3, np.float32))
    tiny = np.float32(1e-12)
    np.testing.assert_allclose(similarity(one * tiny, other * tiny, np.full(3, tiny)), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_metrics(name: str) -> None:
    workload, golden = workloads.load(name), golden_support.numbers(name)
    batch = reconstruction_batch(golden)

    def sums(logits: Any) -> Any:
        from workloads.fastmri.metrics import reconstruction_metrics

        metrics = reconstruction_metrics(lambda *_, **__: (logits, None), workload.loss)
        return metrics.batch_step(None, None, batch, None).sums

    found = jax.jit(sums)(golden["eval/logits"])
    assert found["weight"] == 2
    np.testing.assert_allclose(found["ssim"], golden["metrics/ssim"], rtol=0, atol=2e-5)
    np.testing.assert_allclose(found["loss"], golden["eval/metric_sums/loss"], rtol=1e-5)
    np.testing.assert_allclose(workload.metrics.summarize(found, {})["ssim"], found["ssim"] / 2, rtol=1e-6)


@pytest.mark.parametrize("shapes", [((2, 4, 4), (2, 4), (2,)), ((2, 4, 4), (2, 4, 4), (3,))])
def test_a_loss_of_other_shapes(shapes: Any) -> None:
    with pytest.raises(ValueError, match="do not match"):
        mean_absolute_error(*(np.zeros(shape) for shape in shapes))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"activation": "tan"}, "activation of fastmri: found 'tan'. Did you mean 'tanh'"),
        ({"normalization": "batch"}, "normalization of fastmri: found 'batch'. Known: instance, layer"),
        ({"size": "huge"}, "size of fastmri: found 'huge'. Known: full, small, wide"),
        (
            {"size": dataclasses.replace(SIZES["full"], image_size=321)},
            "image_size of fastmri: found 321; expected 32 to 320",
        ),
    ],
)
def test_invalid_arguments_are_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        workloads.load("fastmri", **arguments)
