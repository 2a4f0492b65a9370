"""The batches that the reference numbers belong to, in the schema of each workload."""

from collections.abc import Callable, Mapping
from typing import Any

import jraph
import numpy as np

Golden = Mapping[str, np.ndarray]


def image_batch(golden: Golden) -> dict[str, Any]:
    """Images, class indices and weights, as they stand."""
    return {
        "inputs": golden["inputs/inputs"],
        "targets": golden["inputs/targets"].astype(np.int32),
        "weights": golden["inputs/weights"],
    }


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


def reconstruction_batch(golden: Golden) -> dict[str, Any]:
    """Images, their targets, and what the metrics need, as they stand."""
    names = ("inputs", "targets", "mean", "std", "volume_max", "weights")
    return {name: golden[f"inputs/{name}"] for name in names}


BATCHES: dict[str, Callable[[Golden], dict[str, Any]]] = {
    "cifar": image_batch,
    "fastmri": reconstruction_batch,
    "fastmri_layernorm": reconstruction_batch,
    "fastmri_model_size": reconstruction_batch,
    "fastmri_tanh": reconstruction_batch,
    "imagenet_resnet": image_batch,
    "imagenet_resnet_gelu": image_batch,
    "imagenet_resnet_large_bn_init": image_batch,
    "imagenet_resnet_silu": image_batch,
    "imagenet_vit": image_batch,
    "imagenet_vit_glu": image_batch,
    "imagenet_vit_map": image_batch,
    "imagenet_vit_post_ln": image_batch,
    "mnist": image_batch,
    "ogbg": graph_batch,
    "ogbg_gelu": graph_batch,
    "ogbg_model_size": graph_batch,
    "ogbg_silu": graph_batch,
}
NUM_OUTPUTS = {"fastmri": 1}
"""By base name, where the last axis of the logits is none of outputs."""
