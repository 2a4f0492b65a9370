"""Any state of a submission is restored bit for bit, and a damaged checkpoint is detected."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from algoperf_jax.devices.mesh import make_layout
from algoperf_jax.errors import RunError
from algoperf_jax.framework.jax_backend import JaxBackend
from algoperf_jax.outputs import checkpoint
from algoperf_jax.outputs.checkpoint import Checkpoints
from algoperf_jax.trial.run_state import Evaluation, RunState


class Moments(NamedTuple):
    first: Any
    second: Any


@flax.struct.dataclass
class Averages:
    fast: Any
    name: str = flax.struct.field(pytree_node=False)


def update(*arguments: Any) -> None:
    """A stub of the function that submissions keep with their state."""


def state_of(scale: float, step: int = 7) -> RunState:
    layout = make_layout(2)
    params = jax.device_put(
        {"Dense_0": {"kernel": scale * jnp.arange(6.0).reshape(2, 3), "bias": scale * jnp.ones(3)}},
        layout.replicated,
    )
    optimizer_state = (
        {
            "optax": optax.adam(0.1).init(params),
            "moments": Moments(scale * jnp.ones(2, jnp.bfloat16), None),
            "averages": Averages(jnp.asarray(scale), "ema"),
            "host": np.full(4, scale, np.float64),
            "count": int(scale),
            "flag": scale > 1,
            "schedule": [0.5 * scale, update],
            "key": jax.random.key(int(scale)),
            "raw_key": jax.random.PRNGKey(int(scale)),
            "empty": jnp.zeros((0, 3)),
        },
        update,
    )
    return RunState(
        params=params,
        model_state={"batch_stats": {"mean": scale * jnp.ones(2)}},
        optimizer_state=optimizer_state,
        rng=np.asarray([1, 4294967295], np.uint32),
        step=step,
        data_position={"next_index": 11},
        nanoseconds={"submission": 12345678901234567},
        history=(Evaluation(3, {"validation/loss": 0.1 + 0.2, "score": 1e-17}),),
        validation_reached=True,
        last_evaluation_end=1 / 3,
    )


@pytest.fixture
def backend() -> JaxBackend:
    return JaxBackend(None, make_layout(2), None)  # pyright: ignore[reportArgumentType] -- neither is used here


def open_checkpoints(folder: pathlib.Path, backend: JaxBackend, keep: int = 2) -> Checkpoints:
    return Checkpoints(folder, backend, keep=keep)


def nothing_to_report(line: str) -> None:
    raise AssertionError(line)


def test_everything_is_restored_bit_for_bit(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    saved = state_of(3.0)
    checkpoints = open_checkpoints(tmp_path, backend)
    assert not checkpoints.exists()
    checkpoints.save(saved, {"events": 4})
    checkpoints.close()
    restored = open_checkpoints(tmp_path, backend).restore(state_of(1.0, step=0), nothing_to_report)
    assert restored.extra == {"events": 4}
    state = restored.state
    for name in (
        "step",
        "data_position",
        "nanoseconds",
        "history",
        "validation_reached",
        "test_reached",
        "training_complete",
        "last_evaluation_end",
    ):
        assert getattr(state, name) == getattr(saved, name), name
    assert state.rng.dtype == np.uint32
    np.testing.assert_array_equal(state.rng, saved.rng)
    for section in ("params", "model_state", "optimizer_state"):
        ours, theirs = getattr(state, section), getattr(saved, section)
        assert jax.tree.structure(ours) == jax.tree.structure(theirs)
        for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
            _assert_same_leaf(a, b)
    assert state.params["Dense_0"]["kernel"].sharding == make_layout(2).replicated
    assert state.optimizer_state[0]["moments"].first.dtype == ml_dtypes.bfloat16


def _assert_same_leaf(ours: Any, theirs: Any) -> None:
    assert type(ours) is type(theirs)
    if isinstance(ours, jax.Array) and jnp.issubdtype(ours.dtype, jax.dtypes.prng_key):
        ours, theirs = jax.random.key_data(ours), jax.random.key_data(theirs)
    if isinstance(ours, jax.Array | np.ndarray):
        assert ours.dtype == theirs.dtype
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    else:
        assert ours == theirs


def test_the_newest_are_kept(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    checkpoints = open_checkpoints(tmp_path, backend, keep=2)
    for step in (1, 2, 3):
        checkpoints.save(state_of(float(step), step), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_2", "checkpoint_3"]
    restored = checkpoints.restore(state_of(1.0), nothing_to_report)
    assert restored.state.step == 3


def damage(folder: pathlib.Path, how: str) -> None:
    """Damages the arrays or the record of a checkpoint."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    if how == "record":
        (path,) = [path for path in files if path.parent.name == "record" and path.name == "metadata"]
        path.write_text(path.read_text().replace('"step": 2', '"step": 5'))
        return
    for path in files:
        if path.parent.name == "d":  # where the arrays' bytes are
            content = bytearray(path.read_bytes())
            if how == "missing":
                path.unlink()
            elif how == "truncated":
                path.write_bytes(content[: len(content) // 2])
            else:
                content[len(content) // 2] ^= 0xFF
                path.write_bytes(content)


# When a read fails, orbax leaves other reads pending, whose event loop is then closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("how", ["truncated", "missing", "flipped", "record"])
def test_a_damaged_checkpoint_is_skipped_and_reported(tmp_path: pathlib.Path, backend: JaxBackend, how: str) -> None:
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(state_of(1.0, 1), {})
    checkpoints.save(state_of(2.0, 2), {})
    checkpoints.close()
    damage(tmp_path / "checkpoint_2", how)
    said: list[str] = []
    again = open_checkpoints(tmp_path, backend)
    restored = again.restore(state_of(9.0, 0), said.append)
    assert restored.state.step == 1
    assert len(said) == 1
    assert said[0].startswith("checkpoint of step 2 is damaged")
    assert "using the previous one" in said[0]
    # The step is reached again and saved over the damaged one.
    again.save(state_of(2.0, 2), {})
    assert again.restore(state_of(9.0, 0), nothing_to_report).state.step == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_whole_is_an_error_with_a_remedy(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(state_of(2.0, 2), {})
    damage(tmp_path / "checkpoint_2", "missing")
    with pytest.raises(RunError, match=r"none of the 1 checkpoints .* can be read.*overwrite=True"):
        checkpoints.restore(state_of(1.0), lambda line: None)


def test_a_state_of_another_structure_is_refused_by_name(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    checkpoints = open_checkpoints(tmp_path, backend)
    saved = state_of(2.0, 2)
    checkpoints.save(saved, {})
    other = RunState(saved.params, saved.model_state, {"momentum": jnp.ones(3)}, saved.rng)
    with pytest.raises(RunError, match=r"checkpoint: optimizer_state\[.*a newly made state has nothing there"):
        checkpoints.restore(other, nothing_to_report)


def test_an_array_of_another_shape_is_refused_by_name(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(RunState({"w": jnp.ones(3)}, None, None, np.zeros(2, np.uint32), step=1), {})
    other = RunState({"w": jnp.ones(4)}, None, None, np.zeros(2, np.uint32))
    with pytest.raises(RunError, match=r"'params\.w' is float32\[3\]; expected float32\[4\]"):
        checkpoints.restore(other, nothing_to_report)


@pytest.mark.parametrize("dtype", ["bfloat16", "int32", "bool"])
def test_an_array_of_another_type_is_refused_by_name(tmp_path: pathlib.Path, backend: JaxBackend, dtype: str) -> None:
    """orbax by itself would cast it."""
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(RunState({"w": jnp.full(3, 1.7)}, None, None, np.zeros(2, np.uint32), step=1), {})
    other = RunState({"w": jnp.ones(3, dtype)}, None, None, np.zeros(2, np.uint32))
    with pytest.raises(RunError, match=rf"'params\.w' is float32\[3\]; expected {dtype}\[3\]"):
        checkpoints.restore(other, nothing_to_report)


def test_a_step_below_the_newest_is_saved(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    """A resume from an older checkpoint comes to such steps; orbax by itself would drop them."""
    checkpoints = open_checkpoints(tmp_path, backend, keep=3)
    for step in (2, 5, 3):
        checkpoints.save(state_of(1.0, step), {})
    checkpoints.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint_2", "checkpoint_3", "checkpoint_5"]


@dataclasses.dataclass(frozen=True)
class LargerState(RunState):
    """The state of a later version, with an additional field."""

    mood: str = "calm"


def test_a_field_that_is_added_to_the_state_is_kept(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    state, key = {"w": jnp.ones(3)}, np.zeros(2, np.uint32)
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(LargerState(state, None, None, key, step=1, mood="wild"), {})
    found = checkpoints.restore(LargerState(state, None, None, key), nothing_to_report).state
    assert isinstance(found, LargerState)
    assert found.mood == "wild"


def test_a_checkpoint_of_another_version_is_refused_not_called_damaged(
    tmp_path: pathlib.Path, backend: JaxBackend
) -> None:
    state, key = {"w": jnp.ones(3)}, np.zeros(2, np.uint32)
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(RunState(state, None, None, key, step=1), {})
    with pytest.raises(RunError, match=r"step 1 .* another version of algoperf_jax.*overwrite=True"):
        checkpoints.restore(LargerState(state, None, None, key), nothing_to_report)


def test_a_split_array_is_read_back_split_on_any_number_of_devices(tmp_path: pathlib.Path) -> None:
    table = np.arange(96.0, dtype=np.float32).reshape(24, 4)

    def saved_on(devices: int) -> RunState:
        params = {"table": jax.device_put(table, make_layout(devices).batch)}
        return RunState(params, None, None, np.zeros(2, np.uint32), step=devices)

    for devices in (8, 4, 1):
        backend = JaxBackend(None, make_layout(devices), None)  # pyright: ignore[reportArgumentType]
        checkpoints = open_checkpoints(tmp_path / str(devices), backend)
        checkpoints.save(saved_on(devices), {})
        for others in (8, 3, 1):
            backend = JaxBackend(None, make_layout(others), None)  # pyright: ignore[reportArgumentType]
            reader = open_checkpoints(tmp_path / str(devices), backend)
            found = reader.restore(saved_on(others), nothing_to_report).state.params["table"]
            assert found.sharding == make_layout(others).batch
            np.testing.assert_array_equal(np.asarray(found), table)


def test_arrays_may_be_donated_as_soon_as_save_returns(tmp_path: pathlib.Path, backend: JaxBackend) -> None:
    params = {"w": jnp.arange(200_000.0)}
    expected = np.asarray(params["w"]).copy()
    state = RunState(params, None, None, np.zeros(2, np.uint32), step=1)
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(state, {})
    step = jax.jit(lambda tree: jax.tree.map(lambda x: x * 0 - 1, tree), donate_argnums=0)
    step(params)["w"].block_until_ready()
    template = RunState({"w": jnp.zeros(200_000)}, None, None, np.zeros(2, np.uint32))
    restored = checkpoints.restore(template, nothing_to_report)
    np.testing.assert_array_equal(np.asarray(restored.state.params["w"]), expected)


class NeverCopied(np.ndarray):
    """An array that notices when it is copied as a whole."""

    def __deepcopy__(self, memo: Any, /) -> Any:
        raise AssertionError("a copy of the array")


def test_large_arrays_are_not_copied_and_leave_memory_file_by_file(
    tmp_path: pathlib.Path, backend: JaxBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "_CHUNK_BYTES", 2**16)
    monkeypatch.setattr(checkpoint, "_FILE_BYTES", 2**17)
    noise = np.random.default_rng(0).standard_normal((2**20,), np.float32)
    state = dataclasses.replace(state_of(1.0), optimizer_state={"table": noise.view(NeverCopied)})
    checkpoints = open_checkpoints(tmp_path, backend)
    checkpoints.save(state, {})
    sizes = [path.stat().st_size for path in tmp_path.rglob("d/*") if path.is_file()]
    # Noise can hardly be compressed: 4 MiB in files of two chunks, and one chunk more.
    assert sum(sizes) > 3 * 2**20
    assert max(sizes) < 2**18
    template = dataclasses.replace(state, optimizer_state={"table": np.zeros(1)})
    restored = checkpoints.restore(template, lambda line: pytest.fail(line)).state
    checkpoints.close()
    np.testing.assert_array_equal(restored.optimizer_state["table"], noise)
