"""Published facts of imagenet_resnet and its variants, and which statistics normalize."""

import jax
import numpy as np
import pytest

import workloads
from algoperf_jax.errors import ConfigError
from tests import golden_support
from tests.workloads import reduced


@pytest.mark.parametrize(
    ("name", "validation", "test"),
    [
        ("imagenet_resnet", 0.77431, 0.6560),
        ("imagenet_resnet_silu", 0.75445, 0.6323),
        ("imagenet_resnet_gelu", 0.76765, 0.6519),
        ("imagenet_resnet_large_bn_init", 0.76526, 0.6423),
    ],
)
def test_published_facts(name: str, validation: float, test: float) -> None:
    workload = workloads.load(name, data_dir="D")
    assert (workload.goal.validation, workload.goal.test) == (validation, test)
    assert (workload.budget.max_runtime_sec, workload.budget.eval_period_sec) == (66_159, 510)
    assert workload.budget.step_hint == 195_999
    assert workload.eval_batch_size == 1_024
    assert workload.split_sizes == {"train": 1_281_167, "eval_train": 50_176, "validation": 50_000, "test": 10_000}
    np.testing.assert_allclose(np.asarray(workload.train_mean) / 255, (0.485, 0.456, 0.406))
    np.testing.assert_allclose(np.asarray(workload.train_stddev) / 255, (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ({"activation": "rellu"}, "activation of imagenet_resnet: found 'rellu'. Did you mean 'relu'"),
        ({"size": "smal"}, "size of imagenet_resnet: found 'smal'. Did you mean 'small'"),
    ],
)
def test_an_unknown_argument_is_answered_with_the_nearest(argument: dict[str, str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        workloads.load("imagenet_resnet", **argument)


@pytest.mark.parametrize(
    ("update", "use_running_average", "normalizes_by_batch", "changes"),
    [(True, None, True, True), (False, None, False, False), (True, True, False, False), (False, False, True, False)],
)
def test_which_statistics_normalize_and_which_are_kept(
    update: bool, use_running_average: bool | None, normalizes_by_batch: bool, changes: bool
) -> None:
    workload, batch = reduced.load("imagenet_resnet"), reduced.batch("imagenet_resnet")
    params, state = golden_support.recipe_state(workload)

    @jax.jit
    def forward(images: jax.Array) -> tuple[jax.Array, object]:
        return workload.apply(
            params,
            state,
            {"inputs": images},
            None,
            train=True,
            update_batch_norm=update,
            use_running_average=use_running_average,
        )

    logits, new_state = forward(batch["inputs"])
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(new_state), strict=True)
    assert any(not np.array_equal(old, new) for old, new in pairs) == changes
    # A different last image changes the others' logits only through the statistics of the batch.
    others = np.concatenate([batch["inputs"][:-1], batch["inputs"][-1:] + 1])
    assert np.allclose(forward(others)[0][:-1], logits[:-1], atol=1e-5) == (not normalizes_by_batch)
