"""The two small models of the reference whose translations are stored, with their parameters."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from algoperf_jax import parameters
from tests import golden_support
from workloads.wmt.architecture import Architecture, Size
from workloads.wmt.model import Transformer

KINDS = ("pre_ln", "post_ln")


class GoldenModel(NamedTuple):
    """A small model.

    Attributes:
      architecture: of it.
      params: its parameters.
      golden: the reference numbers: sources, translations, logits.
    """

    architecture: Architecture
    params: Any
    golden: Mapping[str, np.ndarray]


def load(kind: str) -> GoldenModel:
    """The model with layer normalization before (`pre_ln`) or after (`post_ln`) each layer."""
    golden = golden_support.numbers(f"wmt_beam_search_model_{kind}")
    config = json.loads(str(golden["config"]))
    size = Size(
        vocab_size=config["vocab_size"],
        max_length=config["max_len"],
        width=config["emb_dim"],
        depth=config["num_layers"],
        num_heads=config["num_heads"],
        mlp_width=config["mlp_dim"],
    )
    architecture = Architecture(size, use_post_layer_norm=not config["pre_ln"])
    network = Transformer(architecture, deterministic=True)
    row = np.ones((1, 2), np.int32)
    shapes = jax.eval_shape(network.init, jax.random.PRNGKey(0), {"inputs": row, "targets": row}, 0.0)["params"]
    assert list(parameters.paths(shapes)) == golden["param_paths"].tolist()
    changed = {
        path: _changed(path, leaf, golden) for path, leaf in parameters.paths(golden_support.recipe(shapes)).items()
    }
    leaves = [changed[path] for path in parameters.paths(shapes)]
    return GoldenModel(architecture, jax.tree.unflatten(jax.tree.structure(shapes), leaves), golden)


def _changed(path: str, leaf: np.ndarray, golden: Mapping[str, np.ndarray]) -> np.ndarray:
    """A parameter of the recipe with the factors that make translations depend on their sources."""
    if path == "shared_embedding/embedding":
        return leaf * np.float32(golden["embedding_factor"])
    if "MultiHeadDotProductAttention_1" in path:
        return leaf * np.float32(golden["cross_attention_kernel_factor"])
    if path == str(golden["final_layernorm_scale_path"]):
        return (leaf - 1) * np.float32(10 * golden["final_layernorm_scale_factor"])
    return leaf
