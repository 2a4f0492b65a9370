"""The recommendation models for click-through rates, the twins of `workloads/criteo1tb/model.py`.

The names of the tensors are the reference's: a layer has the number of its place among linear layers, activations,
normalizations and dropout.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.dot_interaction import dot_interaction
from torch_compat.layers.split_table import NUM_CHUNKS, SplitTable
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, normalization_leaves, row_leaves
from torch_compat.transfer.torch_model import Leaf, TorchModel
from workloads.criteo1tb.architecture import Architecture
from workloads.criteo1tb.schema import NUM_CATEGORIES, NUM_INTEGERS

NORM_EPSILON = 1e-6

Features = Float[Tensor, "batch _"]


class ClickModel(SplitTable):
    """The networks have the table, and the perceptrons `bot_mlp` on the integers and `top_mlp` on all features."""

    bot_mlp: "Perceptron"
    top_mlp: "Perceptron"

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture.vocab_size, architecture.size.width)
        self.vocab_size = architecture.vocab_size

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch 1"]:
        """Returns logits of clicks; `dropout_rate` is that of the last hidden layer in training mode."""
        integers, ids = batch["inputs"].split((NUM_INTEGERS, NUM_CATEGORIES), dim=1)
        bottom = self.bot_mlp(integers, dropout_rate)
        # The ids of all columns are rows of the same table.
        crossed = self.crossed(bottom, self.look_up(ids.long() % self.vocab_size))
        return self.top_mlp(torch.cat([bottom, crossed], dim=1), dropout_rate)

    def crossed(self, bottom: Features, embedded: Float[Tensor, "batch categories width"]) -> Features:
        """The features made of the embeddings."""
        raise NotImplementedError


class DlrmSmall(ClickModel):
    """DLRM: products of all pairs of embeddings."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        width, norms = architecture.size.width, architecture.use_layer_norm
        self.bot_mlp = Perceptron(_layers((NUM_INTEGERS, *architecture.bottom_widths), norms))
        num_vectors = 1 + NUM_CATEGORIES
        num_features = width + num_vectors * (num_vectors + 1) // 2
        *hidden, num_outputs = architecture.top_widths
        output = uninitialized(nn.Linear, hidden[-1], num_outputs)
        self.top_mlp = Perceptron([*_layers((num_features, *hidden), norms), Dropout(), output])
        self.embed_ln = nn.LayerNorm(width, eps=NORM_EPSILON) if norms else None

    def crossed(self, bottom: Features, embedded: Float[Tensor, "batch categories width"]) -> Features:
        """The products of all pairs of vectors, the result of the first perceptron included."""
        embedded = embedded if self.embed_ln is None else self.embed_ln(embedded)
        return dot_interaction(bottom, embedded)


class DLRMResNet(ClickModel):
    """Perceptrons with residual connections, on concatenated embeddings."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        bottom = (NUM_INTEGERS, *architecture.bottom_widths)
        top = (architecture.bottom_widths[-1] + NUM_CATEGORIES * architecture.size.width, *architecture.top_widths)
        self.bot_mlp = Perceptron(Residual(*pair) for pair in itertools.pairwise(bottom))
        last_hidden = len(top) - 3
        self.top_mlp = Perceptron(
            Residual(*pair, drops_out=index == last_hidden, activates=index <= last_hidden)
            for index, pair in enumerate(itertools.pairwise(top))
        )

    def crossed(self, bottom: Features, embedded: Float[Tensor, "batch categories width"]) -> Features:
        """The embeddings, one after the other."""
        return embedded.flatten(start_dim=1)


class Perceptron(nn.Sequential):
    """Layers one after the other; those that drop out are told the rate."""

    def __init__(self, layers: Sequence[nn.Module] | Iterator[nn.Module]) -> None:
        super().__init__(*layers)

    def forward(self, features: Features, dropout_rate: float) -> Features:
        """Applies all layers."""
        for layer in self:
            features = layer(features, dropout_rate) if isinstance(layer, Dropout | Residual) else layer(features)
        return features


class Dropout(nn.Module):
    """Dropout at the rate of the call."""

    def forward(self, features: Features, dropout_rate: float) -> Features:
        """Drops out in training mode."""
        return functional.dropout(features, dropout_rate, self.training)


class Residual(nn.Module):
    """A linear layer and a relu, added to its input where the widths are equal and there is a relu.

    Args:
      in_width: features of the input.
      width: features of the output.
      drops_out: whether there is dropout after the relu.
      activates: whether there is a relu.
    """

    def __init__(self, in_width: int, width: int, *, drops_out: bool = False, activates: bool = True) -> None:
        super().__init__()
        self.module = nn.Sequential(uninitialized(nn.Linear, in_width, width), *([nn.ReLU()] if activates else []))
        self.is_residual = activates and in_width == width
        self.drops_out = drops_out

    def forward(self, features: Features, dropout_rate: float) -> Features:
        """Applies the layer."""
        new = self.module(features)
        if self.drops_out:
            new = functional.dropout(new, dropout_rate, self.training)
        return features + new if self.is_residual else new


def _layers(widths: Sequence[int], norms: bool) -> list[nn.Module]:
    """Linear layers, each with its relu and, if asked for, its normalization."""
    layers: list[nn.Module] = []
    for in_width, width in itertools.pairwise(widths):
        layers += [uninitialized(nn.Linear, in_width, width), nn.ReLU()]
        layers += [nn.LayerNorm(width, eps=NORM_EPSILON)] if norms else []
    return layers


def build(workload: Workload) -> TorchModel:
    """Builds the twin of the workload's variant."""
    architecture: Architecture = workload.model_arguments["architecture"]
    table = row_leaves("embedding_chunk", "embedding_table", num_rows=architecture.vocab_size, count=NUM_CHUNKS)
    network = DLRMResNet if architecture.use_residual else DlrmSmall
    return TorchModel(
        make_module=functools.partial(network, architecture),
        parameters=table | (_residual_leaves if architecture.use_residual else _leaves)(architecture),
        buffers={},
        arrange=lambda inputs: inputs,
        loss=workload.loss,
    )


def _leaves(architecture: Architecture) -> dict[str, Leaf]:
    """Layers are numbered in the order of their calls in JAX."""
    num_bottom, num_top = len(architecture.bottom_widths), len(architecture.top_widths)
    step = 3 if architecture.use_layer_norm else 2
    leaves: dict[str, Leaf] = {}
    for index in range(num_bottom + num_top):
        is_bottom = index < num_bottom
        place = step * (index if is_bottom else index - num_bottom)
        if index == num_bottom + num_top - 1:
            place += 1  # after the dropout
        name = "bot_mlp" if is_bottom else "top_mlp"
        leaves |= linear_leaves(f"{name}.{place}", f"Dense_{index}")
        if architecture.use_layer_norm and index < num_bottom + num_top - 1:
            # The embeddings are normalized between the two perceptrons.
            leaves |= normalization_leaves(f"{name}.{place + 2}", f"LayerNorm_{index if is_bottom else index + 1}")
    if architecture.use_layer_norm:
        leaves |= normalization_leaves("embed_ln", f"LayerNorm_{num_bottom}")
    return leaves


def _residual_leaves(architecture: Architecture) -> dict[str, Leaf]:
    num_bottom, num_top = len(architecture.bottom_widths), len(architecture.top_widths)
    places = [*(f"bot_mlp.{i}" for i in range(num_bottom)), *(f"top_mlp.{i}" for i in range(num_top))]
    leaves: dict[str, Leaf] = {}
    for index, place in enumerate(places):
        leaves |= linear_leaves(f"{place}.module.0", f"Dense_{index}")
    return leaves
