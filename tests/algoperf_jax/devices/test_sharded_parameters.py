"""An embedding table split by rows over eight devices trains like a replicated one."""

import dataclasses
import pathlib
from typing import Any

import jax
import numpy as np
import pytest

from algoperf_jax.assembly import Parts, assemble, initial_state
from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework.jax_framework import FRAMEWORK
from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate
from algoperf_jax.trial.run_state import RunState
from configs import base
from tests.algoperf_jax import table_workload
from third_party.pmap.framework import FRAMEWORK as PMAP

RTOL = 1e-5
"""Float32 sums over a batch are split differently when the table is split."""
WHOLE_TABLE = f"f32[{table_workload.NUM_ROWS},{table_workload.WIDTH}]"
SHARE_OF_TABLE = f"f32[{table_workload.NUM_ROWS // 8},{table_workload.WIDTH}]"


def config(*, sharded: bool = True) -> Any:
    found: Any = base.named("table", "")
    found.mesh.shard_parameters = sharded
    found.hyperparameters = {"learning_rate": 0.01}
    return found


def parts(submission: str = "nadamw", *, sharded: bool) -> Parts:
    workload = table_workload.build()
    return assemble(config(sharded=sharded), FRAMEWORK, workload, load_submission(locate(submission), workload), None)


def trained(parts: Parts, state: RunState, steps: int = 3) -> RunState:
    feed = parts.make_feed()
    params, model_state, optimizer_state = state.params, state.model_state, state.optimizer_state
    for step in range(steps):
        optimizer_state, params, model_state = parts.submission.update_params(
            **arguments(parts, params, model_state, optimizer_state), batch=next(feed), global_step=step
        )
    return dataclasses.replace(
        state, params=params, model_state=model_state, optimizer_state=optimizer_state, step=steps
    )


def arguments(parts: Parts, params: Any, model_state: Any, optimizer_state: Any) -> dict[str, Any]:
    return {
        "workload": parts.view,
        "current_param_container": params,
        "current_params_types": None,
        "model_state": model_state,
        "hyperparameters": parts.hyperparameters,
        "loss_type": None,
        "optimizer_state": optimizer_state,
        "eval_results": [],
        "rng": parts.keys.loop,
    }


def evaluated(parts: Parts, params: Any) -> dict[str, float]:
    return parts.backend.evaluate(params, None, parts.keys.data)


def tables(tree: Any) -> list[jax.Array]:
    shape = (table_workload.NUM_ROWS, table_workload.WIDTH)
    return [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array) and leaf.shape == shape]


def assert_split(tree: Any, count: int) -> None:
    """Whether the table and its state have an eighth of their rows on each device, and all other arrays all rows."""
    found = tables(tree)
    assert len(found) == count
    for table in found:
        assert {shard.data.shape[0] for shard in table.addressable_shards} == {table_workload.NUM_ROWS // 8}
    others = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, jax.Array) and leaf.shape != found[0].shape]
    assert all(leaf.sharding.is_fully_replicated for leaf in others)


def test_parameters_begin_with_the_same_numbers() -> None:
    split, whole = (initial_state(parts(sharded=sharded)) for sharded in (True, False))
    assert_split(split.params, 1)
    assert_split(split.optimizer_state[0], 2)  # both moments
    jax.tree.map(np.testing.assert_array_equal, split.params, whole.params)


# Moments; an average that is evaluated; a second average; gradients at other parameters.
@pytest.mark.parametrize(
    ("submission", "count"), [("nadamw", 2), ("schedule_free_adamw", 2), ("ademamix", 3), ("sam", 2)]
)
def test_a_split_table_trains_and_is_evaluated_like_a_whole_one(submission: str, count: int) -> None:
    results = []
    for sharded in (True, False):
        made = parts(submission, sharded=sharded)
        state = trained(made, initial_state(made))
        if made.submission.prepare_for_eval is not None:
            given = arguments(made, state.params, state.model_state, state.optimizer_state)
            optimizer_state, params, _ = made.submission.prepare_for_eval(**given, global_step=3)
            state = dataclasses.replace(state, params=params, optimizer_state=optimizer_state)
        if sharded:
            assert_split(state.params, 1)
            assert_split(state.optimizer_state[0], count)
        results.append((jax.tree.map(np.asarray, state.params), evaluated(made, state.params)))
    (split, split_metrics), (whole, whole_metrics) = results
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=RTOL, atol=1e-6), split, whole)
    assert split_metrics == pytest.approx(whole_metrics, rel=RTOL)


def test_no_program_has_the_whole_table() -> None:
    """The compiler moves the ids to the rows, not the rows to the ids, if the table is larger."""
    made = parts(sharded=True)
    state = initial_state(made)
    optax_state, train_step, _ = state.optimizer_state
    batch = made.backend.put_batch(made.reader.batch(0), made.reader.finish)
    evaluate = jax.jit(made.workload.metrics.batch_step)
    for lowered in (
        train_step.lower(state.params, None, optax_state, batch, made.keys.loop),
        evaluate.lower(state.params, None, batch, made.keys.loop),
    ):
        text = lowered.compile().as_text()
        assert text is not None
        assert SHARE_OF_TABLE in text
        assert WHOLE_TABLE not in text


def test_a_split_table_is_not_moved_for_evaluation() -> None:
    made = parts(sharded=True)
    params = initial_state(made).params
    placed, _ = made.evaluator.place(params, None)
    assert placed["embedding_table"] is params["embedding_table"]


def test_a_split_table_is_saved_and_resumed_bit_for_bit(tmp_path: pathlib.Path) -> None:
    made = parts(sharded=True)
    state = trained(made, initial_state(made))
    checkpoints = Checkpoints(tmp_path, made.backend, keep=1)
    checkpoints.save(state, {})
    found = checkpoints.restore(initial_state(made), lambda line: pytest.fail(line)).state
    checkpoints.close()
    assert_split((found.params, found.optimizer_state[0]), 3)
    saved, restored = ((one.params, one.optimizer_state[0]) for one in (state, found))
    jax.tree.map(np.testing.assert_array_equal, saved, restored)
    assert evaluated(made, found.params) == evaluated(made, state.params)


def test_rows_that_the_devices_cannot_share_are_refused() -> None:
    layout = make_layout(8, ("embedding_*",))
    with pytest.raises(
        ConfigError, match=r"embedding_table of shape \(63, 4\).*divisible by the number of devices \(8\)"
    ):
        layout.parameters("embedding_table", (63, 4))


def test_a_workload_without_large_parameters_has_nothing_to_split() -> None:
    workload = dataclasses.replace(table_workload.build(), sharded_parameters=())
    with pytest.raises(ConfigError, match="table has no parameters to split"):
        FRAMEWORK.make_layout(config(), workload)


def test_submissions_that_use_pmap_cannot_split() -> None:
    with pytest.raises(ConfigError, match=r"jax\.pmap, which the submission uses, keeps all"):
        PMAP.make_layout(config(), table_workload.build())
