from typing import Any

import jraph
import numpy as np

from tests.workloads.case import Case, Golden


def graph_batch(golden: Golden) -> dict[str, Any]:
    """Turns a flat graph into the only shard of a batch."""
    integers = ("senders", "receivers", "n_node", "n_edge")
    fields: dict[str, Any] = {name: golden[f"inputs/{name}"][None] for name in ("nodes", "edges")}
    fields |= {name: golden[f"inputs/{name}"][None].astype(np.int32) for name in integers}
    return {
        "inputs": jraph.GraphsTuple(**fields, globals=None),
        "targets": golden["inputs/targets"],
        "weights": golden["inputs/weights"],
    }


_NARROW = {"latent_dim": 32, "num_message_passing_steps": 2}
CASE = Case(
    golden_batch=graph_batch,
    reduced={
        "": {"hidden_dims": (32,), **_NARROW},
        "model_size": {"hidden_dims": (32, 32), **_NARROW},
    },
    smallest_batch=24,
)
