"""The content of the last checkpoint of a trial."""

import json
import pathlib
from typing import Any

from algoperf_jax.outputs.result import TrialResult


def checksums(result: TrialResult, steps: int) -> dict[str, Any]:
    """The checksums of all arrays, the other values and the position in the data, after `steps` steps."""
    folders = pathlib.Path(result.directory).glob("checkpoints/checkpoint_*")
    newest = max(folders, key=lambda path: int(path.name.rpartition("_")[2]))
    record = json.loads((newest / "record" / "metadata").read_text())
    assert record["step"] == steps
    assert record["checksums"]
    return {name: record[name] for name in ("checksums", "values", "data_position")}
