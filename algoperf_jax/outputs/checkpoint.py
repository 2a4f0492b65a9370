"""Checkpoints of a trial, written and read by orbax.

A checkpoint holds all of `RunState`. The backend packs the submission's content into arrays and a record; the other
fields are in the record too. A checkpoint is written into a temporary folder and renamed when complete, so a process
killed in the middle leaves the previous one intact. Each array's checksum is stored; a damaged checkpoint is detected,
and the previous one is used. Writing is synchronous: when `save` returns, the arrays may be donated.
"""

import dataclasses
import functools
import json
import logging
import pathlib
import shutil
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from algoperf_jax.checkpoints.checksums import checksums, differing
from algoperf_jax.errors import RunError
from algoperf_jax.trial.backend import Backend, Content, Packed
from algoperf_jax.trial.run_state import Evaluation, RunState

_BYTES_BESIDE_ARRAYS = 2**20
_HOW_TO_RESUME = "Fix this and run the same command again: the trial resumes from its last checkpoint."
_FORMAT = 3
"""The format of checkpoints; others are refused."""
_CHUNK_BYTES = 32 * 2**20
"""The unit of reading and writing: memory holds a second copy of a chunk, not of an array."""
_FILE_BYTES = 64 * 2**20
"""Size of the files of arrays. Compressed chunks stay in memory until they fill a file, by default of 2 GB."""


@dataclasses.dataclass(frozen=True)
class Restored:
    """A restored checkpoint.

    Attributes:
      state: the state to resume from.
      extra: the `extra` argument of `save`.
    """

    state: RunState
    extra: dict[str, Any]


class Checkpoints:
    """The checkpoints in one trial's directory; the newest `keep` are kept."""

    def __init__(self, folder: pathlib.Path, backend: Backend, *, keep: int) -> None:
        self._folder = folder
        self._backend = backend
        self._damaged: set[int] = set()
        logging.getLogger("absl").setLevel(logging.CRITICAL)  # orbax logs every save, and the errors that it raises
        _ignore_late_results()
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep,
            step_prefix="checkpoint",
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,
            create=True,
        )
        handlers = {"arrays": _array_handler(), "record": ocp.JsonCheckpointHandler()}
        self._manager = ocp.CheckpointManager(folder.absolute(), options=options, item_handlers=handlers)

    def exists(self) -> bool:
        """Whether there is anything to restore."""
        return bool(self._manager.all_steps())

    def save(self, state: RunState, extra: dict[str, Any]) -> None:
        """Writes `state`, and `extra`, a JSON-able dict, with it.

        Raises:
          RunError: the disk cannot be written.
        """
        packed = self._backend.pack(_content(state))
        # orbax rejects arrays without elements, which hold nothing.
        arrays = {name: array for name, array in packed.arrays.items() if np.size(array)}
        record = {
            **_to_record(state),
            "format": _FORMAT,
            "values": dict(packed.values),
            "arrays": {name: [list(np.shape(a)), str(a.dtype)] for name, a in packed.arrays.items()},
            "checksums": checksums(packed.arrays),
            "extra": extra,
        }
        chunked = dict.fromkeys(arrays, ocp.SaveArgs(chunk_byte_size=_CHUNK_BYTES))
        arguments = ocp.args.Composite(
            arrays=ocp.args.PyTreeSave(arrays, save_args=chunked, ocdbt_target_data_file_size=_FILE_BYTES),  # pyright: ignore[reportCallIssue]
            record=ocp.args.JsonSave({**record, "checksum": _record_checksum(record)}),  # pyright: ignore[reportCallIssue]
        )
        if state.step in self._manager.all_steps():
            if state.step not in self._damaged:
                return  # nothing but clock readings can have changed since
            self._manager.delete(state.step)
            self._damaged.remove(state.step)
        self._check_space(state.step, sum(array.nbytes for array in arrays.values()))
        try:
            # Without force a step below the newest is dropped. See findings/orbax_saves_after_going_back.sh.
            self._manager.save(state.step, args=arguments, force=True)
            self._manager.wait_until_finished()
        except (OSError, ValueError) as error:
            raise RunError(
                f"the checkpoint of step {state.step} could not be written to {self._folder}: {_first_line(error)}",
                expected="a writable disk with enough free space",
                remedy=_HOW_TO_RESUME,
            ) from error

    def restore(self, template: RunState, report: Callable[[str], None]) -> Restored:
        """Restores the newest intact checkpoint.

        Args:
          template: a newly initialized state, whose structure the checkpoint must match.
          report: receives one line about each damaged checkpoint.

        Raises:
          RunError: no checkpoint is intact, or the newest is from another version of this package or another
            submission.
        """
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                return self._restore(step, template)
            except RunError:
                raise
            except Exception as error:
                self._damaged.add(step)
                report(f"checkpoint of step {step} is damaged ({_first_line(error)}); using the previous one")
        raise RunError(
            f"none of the {len(steps)} checkpoints in {self._folder} can be read",
            remedy="Start over with --config.overwrite=True, or use another --config.experiment_name.",
        )

    def close(self) -> None:
        """Releases the manager's threads."""
        self._manager.close()

    def _check_space(self, step: int, array_bytes: int) -> None:
        """Checks the free space before writing, rather than failing in orbax's threads."""
        needed, free = array_bytes + _BYTES_BESIDE_ARRAYS, shutil.disk_usage(self._folder).free
        if jax.process_index() == 0 and free < needed:
            raise RunError(
                f"no space left for the checkpoint of step {step}: it needs up to {needed / 2**20:.1f} MiB, "
                f"but only {free / 2**20:.1f} MiB are free in {self._folder}",
                remedy=_HOW_TO_RESUME,
            )

    def _restore(self, step: int, template: RunState) -> Restored:
        found = self._manager.restore(
            step,
            args=ocp.args.Composite(record=ocp.args.JsonRestore()),  # pyright: ignore[reportCallIssue]
        )
        record = dict(found["record"])
        if record.pop("checksum") != _record_checksum(record):
            raise ValueError("the record does not match its checksum")
        if record.get("format") != _FORMAT or not {*_recorded_fields(template)} <= {*record}:
            raise RunError(
                f"the checkpoint of step {step} in {self._folder} was written by another version of algoperf_jax",
                remedy="Use that version, or start over with --config.overwrite=True.",
            )
        arrays = self._read(step, record)
        damaged = differing(arrays, record["checksums"])
        if damaged:
            raise ValueError(f"array {damaged[0]} does not match its checksum")
        content = self._backend.unpack(_content(template), Packed(arrays, record["values"]))
        state = dataclasses.replace(template, **content._asdict(), **_from_record(record, template))
        return Restored(state, record["extra"])

    def _read(self, step: int, record: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the arrays: those that were split over devices to the devices, the others to the host."""
        # With NumPy targets orbax returns NumPy arrays; the backend puts them where they belong.
        arrays: dict[str, Any] = {
            name: np.empty(shape, jnp.dtype(dtype)) for name, (shape, dtype) in record["arrays"].items()
        }
        targets = {name: array for name, array in arrays.items() if array.size}
        for name, sharding in self._backend.shardings(Packed(arrays, record["values"])).items():
            targets[name] = jax.ShapeDtypeStruct(arrays[name].shape, arrays[name].dtype, sharding=sharding)
        if targets:
            places = ocp.checkpoint_utils.construct_restore_args(targets)
            arguments = ocp.args.PyTreeRestore(targets, restore_args=places)  # pyright: ignore[reportCallIssue]
            arrays |= self._manager.restore(step, args=ocp.args.Composite(arrays=arguments))["arrays"]
        return arrays


def _array_handler() -> ocp.PyTreeCheckpointHandler:
    """Writes and reads arrays of NumPy and JAX. orbax's own would first copy all those of NumPy."""
    handlers = ocp.type_handlers
    return ocp.PyTreeCheckpointHandler(
        type_handler_registry=handlers.create_type_handler_registry(
            (jax.Array, handlers.ArrayHandler()), (np.ndarray, handlers.NumpyHandler(deepcopy_host_arrays=False))
        )
    )


@functools.cache
def _ignore_late_results() -> None:
    """Suppresses orbax's "Event loop is closed" errors about pending arrays after a failed read or write."""
    report = sys.unraisablehook

    def report_others(unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            report(unraisable)

    sys.unraisablehook = report_others


def _content(state: RunState) -> Content:
    return Content(state.params, state.model_state, state.optimizer_state)


def _recorded_fields(state: RunState) -> list[str]:
    """The fields that the backend does not pack."""
    return [field.name for field in dataclasses.fields(state) if field.name not in Content._fields]


def _to_record(state: RunState) -> dict[str, Any]:
    """Converts the recorded fields to JSON-able values."""
    return {name: _ENCODED.get(name, _unchanged)(getattr(state, name)) for name in _recorded_fields(state)}


def _from_record(record: Mapping[str, Any], template: RunState) -> dict[str, Any]:
    """The inverse of `_to_record`."""
    return {name: _DECODED.get(name, _unchanged)(record[name]) for name in _recorded_fields(template)}


def _unchanged(value: Any) -> Any:
    return value


# Fields that JSON cannot represent directly.
_ENCODED: dict[str, Callable[[Any], Any]] = {
    "rng": lambda key: np.asarray(key).tolist(),
    "nanoseconds": dict,
    "history": lambda history: [[evaluation.step, dict(evaluation.results)] for evaluation in history],
}
_DECODED: dict[str, Callable[[Any], Any]] = {
    "rng": lambda numbers: np.asarray(numbers, np.uint32),
    "history": lambda rows: tuple(Evaluation(step, results) for step, results in rows),
}


def _record_checksum(record: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:300]
