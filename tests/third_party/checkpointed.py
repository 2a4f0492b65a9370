"""What the last checkpoint of a trial holds."""

import json
import pathlib
from typing import Any

from algoperf_jax.outputs.result import TrialResult


def checksums(result: TrialResult, steps: int) -> dict[str, Any]:
    """Those of every array, the values beside them and the position in the data, after so many steps."""
    folders = pathlib.Path(result.directory).glob("checkpoints/checkpoint_*")
    newest = max(folders, key=lambda path: int(path.name.rpartition("_")[2]))
    record = json.loads((newest / "record" / "metadata").read_text())
    assert record["step"] == steps
    assert record["checksums"]
    return {name: record[name] for name in ("checksums", "values", "data_position")}
