import os
import pathlib

import jax
import numpy as np
import optax
import pytest

import workloads
from algoperf_jax import prepare
from algoperf_jax.errors import DataError
from algoperf_jax.workload import EVALUATION_SPLITS, Placement, SplitName, Workload
from tests import golden_support
from workloads.mnist import builtin
from workloads.mnist.data import normalize

TEST_DATA = os.environ.get("ALGOPERF_TEST_DATA")
SPLITS: tuple[SplitName, ...] = ("train", *EVALUATION_SPLITS)
PLACEMENT = Placement()


def accuracy_after(workload: Workload, num_steps: int) -> float:
    """Validation accuracy after `num_steps` steps of plain Adam."""
    optimizer = optax.adam(1e-3)
    params, _ = jax.jit(workload.init)(jax.random.PRNGKey(0))
    optimizer_state = optimizer.init(params)

    @jax.jit
    def step(params, optimizer_state, batch):
        def objective(params):
            logits, _ = workload.apply(params, None, batch, None, train=True, update_batch_norm=True)
            loss = workload.loss(batch["targets"], logits, batch["weights"])
            return loss.summed / loss.n_valid_examples

        updates, optimizer_state = optimizer.update(jax.grad(objective)(params), optimizer_state, params)
        return optax.apply_updates(params, updates), optimizer_state

    train = workload.data.open("train", batch_size=256, seed=0, placement=PLACEMENT)
    for k in range(num_steps):
        params, optimizer_state = step(params, optimizer_state, train.batch(k))
    validation = workload.data.open("validation", batch_size=2_000, seed=0, placement=PLACEMENT)
    partials = [
        jax.jit(workload.metrics.batch_step)(params, None, validation.batch(k), jax.random.PRNGKey(0))
        for k in range(validation.num_batches or 0)
    ]
    sums = {name: sum(float(partial.sums[name]) for partial in partials) for name in partials[0].sums}
    return workload.metrics.summarize(sums, {})["accuracy"]


def test_published_facts() -> None:
    workload = workloads.load("mnist", data_dir="D")
    assert (workload.goal.validation, workload.goal.test) == (0.97, 0.97)
    assert (workload.budget.max_runtime_sec, workload.budget.eval_period_sec) == (60, 10)
    assert workload.budget.step_hint == 7_813
    assert workload.split_sizes == {"train": 50_000, "eval_train": 10_000, "validation": 10_000, "test": 10_000}
    assert (workload.train_mean, workload.train_stddev) == (0.1307, 0.3081)


def test_normalization_is_that_of_the_reference() -> None:
    golden = golden_support.numbers("mnist")
    batch = normalize({"image": golden["inputs/image_uint8"], "label": golden["inputs/targets"].astype(np.uint8)})
    np.testing.assert_allclose(batch["inputs"], golden["inputs/inputs"], rtol=1e-6)
    np.testing.assert_array_equal(batch["targets"], golden["inputs/targets"])
    white = normalize({"image": np.full((1, 28, 28, 1), 255, np.uint8), "label": np.zeros(1, np.uint8)})
    np.testing.assert_allclose(white["inputs"].max(), (255 - 0.1307) / 0.3081, rtol=1e-6)


def test_builtin_digits() -> None:
    one, other = (builtin.generate(np.random.default_rng(seed), 500) for seed in (0, 1))
    assert one["image"].shape == (500, 28, 28, 1)
    assert one["image"].dtype == one["label"].dtype == np.uint8
    assert (np.bincount(one["label"], minlength=10) > 25).all()
    assert not np.array_equal(one["image"], other["image"])
    assert len(np.unique(one["image"], axis=0)) == 500
    # Strokes are light on dark, and neither missing nor covering the whole image.
    light = (one["image"] > 80).mean(axis=(1, 2, 3))
    assert 0.01 < light.min() < light.mean() < 0.25


def test_builtin_splits_are_different_draws() -> None:
    workload = workloads.load("mnist")
    readers = [
        workload.data.open(split, batch_size=2_000, seed=0, placement=PLACEMENT)
        for split in ("eval_train", "validation", "test")
    ]
    images = np.concatenate([reader.batch(0)["inputs"] for reader in readers])
    assert len(np.unique(images, axis=0)) == 6_000


def test_builtin_digits_can_be_learned_but_not_at_once() -> None:
    workload = workloads.load("mnist")
    assert workload.goal.validation is not None
    accuracies = [accuracy_after(workload, num_steps) for num_steps in (0, 300)]
    assert accuracies[0] < 0.3
    assert 0.7 < accuracies[1] < workload.goal.validation


def test_missing_data_are_an_error_that_names_the_remedy(tmp_path: pathlib.Path) -> None:
    workload = workloads.load("mnist", data_dir=str(tmp_path))
    with pytest.raises(DataError, match=r"python -m algoperf_jax\.prepare mnist --data_dir="):
        workload.data.open("train", batch_size=64, seed=0, placement=PLACEMENT)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Workload:
    if TEST_DATA is None:
        pytest.skip("ALGOPERF_TEST_DATA, the folder of raw data sets, is not set")
    data_dir = tmp_path_factory.mktemp("data")
    prepare.prepare("mnist", data_dir, raw=pathlib.Path(TEST_DATA) / "mnist", force=False)
    return workloads.load("mnist", data_dir=str(data_dir))


def test_real_splits(real: Workload) -> None:
    assert real.data.origin == "prepared"
    assert real.data.describe()["split_sizes"] == {"train": 50_000, "validation": 10_000, "test": 10_000}
    for split in SPLITS:
        reader = real.data.open(split, batch_size=64, seed=0, placement=PLACEMENT)
        assert reader.num_examples == real.split_sizes[split]
    # The first labels of the validation split, the last 10,000 of the training images, and of the test split.
    first_labels: dict[SplitName, list[int]] = {"validation": [3, 8, 6, 9, 6], "test": [7, 2, 1, 0, 4]}
    for split, labels in first_labels.items():
        reader = real.data.open(split, batch_size=64, seed=0, placement=PLACEMENT)
        assert reader.batch(0)["targets"][:5].tolist() == labels


def test_real_digits_are_learned(real: Workload) -> None:
    assert accuracy_after(real, 400) > 0.9
