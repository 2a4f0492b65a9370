from typing import Any

import jraph
import numpy as np

from tests.workloads.case import Case, Golden


def graph_batch(golden: Golden) -> dict[str, Any]:
    """A flat graph becomes the only shard of a batch."""
    integers = ("senders", "receivers", "n_node", "n_edge")
    fields: dict[str, Any] = {name: golden[f"inputs/{name}"][None] for name in ("nodes", "edges")}
    fields |= {name: golden[f"inputs/{name}"][None].astype(np.int32) for name in integers}
    return {
        "inputs": jraph.GraphsTuple(**fields, globals=None),
        "targets": golden["inputs/targets"],
        "weights": golden["inputs/weights"],
    }


CASE = Case(golden_batch=graph_batch, smallest_batch=24)
