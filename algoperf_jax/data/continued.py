"""Data sets whose conversion writes files of its own, and continues after it was interrupted.

`prepared.write` starts from nothing at each try, and needs the disk space for another copy. That does not do for
hundreds of gigabytes. Here the conversion writes its files in the data set's final folder, and decides itself which of
them are complete. `unfinished.json` marks the folder until `finish` replaces it by the manifest.
"""

import dataclasses
import json
import os
import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf_jax.data import prepared
from algoperf_jax.data.manifest import Split
from algoperf_jax.data.prepared import MANIFEST, UNFINISHED, DatasetSpec, PathLike
from algoperf_jax.errors import DataError


@dataclasses.dataclass(frozen=True)
class Written:
    """The result of a conversion that wrote files of its own.

    Attributes:
      splits: split name -> its entry of the manifest.
      facts: further JSON values for the manifest and the logs of runs.
    """

    splits: Mapping[str, Split]
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def begin(data_dir: PathLike, spec: DatasetSpec, *, force: bool, arguments: Sequence[str] = ()) -> pathlib.Path:
    """Makes the folder of a data set, or opens it with the files that an earlier preparation left there.

    Args:
      data_dir: folder of all prepared data sets.
      spec: name and version; the files of another version are removed.
      force: remove the files of this version, too.
      arguments: further arguments of the command that prepares the data set, for those who find it unfinished or
        damaged.

    Raises:
      DataError: the folder cannot be written.
    """
    folder = pathlib.Path(data_dir).expanduser() / spec.name
    old = folder.with_name(f".{spec.name}.old")
    try:
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists() and (force or _identity(folder) != (spec.name, spec.version)):
            folder.rename(old)
            shutil.rmtree(old, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{UNFINISHED}.partial"
        content = {"dataset": spec.name, "version": spec.version, "arguments": list(arguments)}
        partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
        partial.rename(folder / UNFINISHED)
        (folder / MANIFEST).unlink(missing_ok=True)
    except OSError as error:
        raise _failed(data_dir, spec, arguments, error) from error
    return folder


def finish(data_dir: PathLike, spec: DatasetSpec, written: Written, *, source: str) -> None:
    """Makes the data set complete: writes its manifest.

    Args:
      data_dir: folder of all prepared data sets.
      spec: name and version.
      written: the files, all in the folder that `begin` returned.
      source: origin of the raw data, for the logs of runs.

    Raises:
      DataError: a split is empty, or the manifest cannot be written.
    """
    for name, split in written.splits.items():
        if not split.examples:
            raise DataError(f"split {name!r} has no examples")
    folder = pathlib.Path(data_dir).expanduser() / spec.name
    arguments = prepared.recorded_arguments(folder)
    try:
        prepared.write_manifest(folder, spec, written.splits, source=source, facts=written.facts, arguments=arguments)
        (folder / UNFINISHED).unlink()
    except OSError as error:
        raise _failed(data_dir, spec, arguments, error) from error


def _identity(folder: pathlib.Path) -> tuple[str, str] | None:
    """Name and version of the data set in a folder, finished or not; None if unknown."""
    for name in (UNFINISHED, MANIFEST):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            return found["dataset"], found["version"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def _failed(data_dir: PathLike, spec: DatasetSpec, arguments: Sequence[str], error: OSError) -> DataError:
    return DataError(
        f"preparing {spec.name} in {os.fspath(data_dir)} failed ({error})",
        remedy=f"Fix this, then run: {prepared.command(spec.name, data_dir, *arguments)}",
    )
