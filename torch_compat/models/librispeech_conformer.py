"""The Conformer, the twin of `workloads/librispeech_conformer/model.py`."""

import functools
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.attention import attend, projection_leaves
from torch_compat.layers.ctc_loss import loss
from torch_compat.layers.frames import BatchNorm, Frames, LayerNorm, Paddings, Subsample, norm_leaves, subsample_leaves
from torch_compat.layers.log_mel import MelFilterbankFrontend, SpecAug
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, statistics_leaves
from torch_compat.transfer.torch_model import Joined, Leaf, TorchModel
from workloads.librispeech_conformer.architecture import Architecture
from workloads.librispeech_conformer.model import KERNEL_SIZE, QUERY_SCALE
from workloads.speech.features import NUM_MELS

_Leaves = dict[str, Leaf | Joined]
Drop = Callable[[Tensor], Tensor]
ValidFrames = Float[Tensor, "batch frames 1"]
Mask = Bool[Tensor, "batch 1 frames frames"]


class Conformer(nn.Module):
    """The network, on waveforms."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.size
        self.preprocessor = MelFilterbankFrontend()
        self.specaug = SpecAug(architecture.spec_augment)
        self.subsample = Subsample(
            NUM_MELS, size.width, size.conv_channels, "relu", linear="linear", add_positions=True
        )
        self.conformers = nn.ModuleList(ConformerBlock(architecture) for _ in range(size.depth))
        self.ln = LayerNorm(size.width)
        self.lin = uninitialized(nn.Linear, size.width, size.vocab_size)

    def forward(
        self, batch: Batch, *, dropout_rate: float
    ) -> tuple[Float[Tensor, "batch frames vocabulary"], Float[Tensor, "batch frames"]]:
        """Returns logits of the tokens, and paddings of their frames.

        Args:
          batch: `inputs` are samples of 16 bits, `input_lengths` how many of them belong to the utterance.
          dropout_rate: in training mode, where the JAX model has dropout.
        """
        features, paddings = self.preprocessor(batch["inputs"], batch["input_lengths"])
        features = self.specaug(features, paddings)
        frames, paddings = self.subsample(features, paddings, dropout_rate)
        is_valid = paddings == 0
        mask = (is_valid[:, :, None] & is_valid[:, None, :])[:, None]
        for block in self.conformers:
            frames = block(frames, paddings, mask, dropout_rate)
        return self.lin(self.ln(frames)), paddings


class ConformerBlock(nn.Module):
    """Half a feed-forward module, attention, a convolution and another half, each with a residual connection."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.ff1 = FeedForwardModule(architecture)
        self.mhsa = MultiHeadedSelfAttention(architecture)
        self.conv = ConvolutionBlock(architecture)
        self.ff2 = FeedForwardModule(architecture)
        self.ln = LayerNorm(architecture.size.width) if architecture.use_block_layer_norm else None

    def forward(self, frames: Frames, paddings: Paddings, mask: Mask, dropout_rate: float) -> Frames:
        drop = functools.partial(functional.dropout, p=dropout_rate, training=self.training)
        is_valid = (1 - paddings)[..., None].to(frames.dtype)
        frames = frames + 0.5 * self.ff1(frames, is_valid, drop)
        frames = frames + drop(self.mhsa(frames, mask))
        frames = frames + drop(self.conv(frames, paddings, is_valid))
        frames = frames + 0.5 * self.ff2(frames, is_valid, drop)
        return frames if self.ln is None else self.ln(frames)


class FeedForwardModule(nn.Module):
    """A multilayer perceptron with one hidden layer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.size
        self.ln = LayerNorm(size.width)
        self.linear1 = uninitialized(nn.Linear, size.width, size.hidden_width)
        self.linear2 = uninitialized(nn.Linear, size.hidden_width, size.width)
        self._activation = ACTIVATIONS[architecture.activation]

    def forward(self, frames: Frames, is_valid: ValidFrames, drop: Drop) -> Frames:
        hidden = drop(self._activation(self.linear1(self.ln(frames)))) * is_valid
        return drop(self.linear2(hidden) * is_valid)


class MultiHeadedSelfAttention(nn.Module):
    """A normalization, and attention of frames to each other."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.ln = LayerNorm(architecture.size.width)
        self.self_attention = MHSAwithQS(architecture)

    def forward(self, frames: Frames, mask: Mask) -> Frames:
        return self.self_attention(self.ln(frames), mask)


class MHSAwithQS(nn.Module):
    """Attention with one projection for queries, keys and values, and with scaled queries."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.size
        self.in_proj = uninitialized(nn.Linear, size.width, 3 * size.width)
        self.out_proj = uninitialized(nn.Linear, size.width, size.width)
        self.qs = QueryScaler(size.width // size.num_heads)
        self._num_heads = size.num_heads
        self._output_scale = architecture.attention_temperature

    def forward(self, frames: Frames, mask: Mask) -> Frames:
        query, key, value = self.in_proj(frames).chunk(3, dim=-1)
        attended = attend(self.qs(query, self._num_heads), key, value, self._num_heads, mask)
        return self.out_proj(attended * self._output_scale)


class QueryScaler(nn.Module):
    """Multiplies each feature of a query by a learned positive factor; heads share the factors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(width))

    def forward(self, queries: Frames, num_heads: int) -> Frames:
        return queries * (QUERY_SCALE * functional.softplus(self.scale)).repeat(num_heads)


class ConvolutionBlock(nn.Module):
    """A gated linear unit, a convolution over time, batch normalization and a dense layer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.size.width
        self.ln = LayerNorm(width)
        self.lin1 = uninitialized(nn.Linear, width, width)
        self.lin2 = uninitialized(nn.Linear, width, width)
        self.conv1 = uninitialized(
            nn.Conv1d, width, width, KERNEL_SIZE, padding=KERNEL_SIZE // 2, groups=width, bias=False
        )
        self.bn = BatchNorm(width, architecture.size.batch_norm_momentum, scale="scale", has_dim=True)
        self.lin3 = uninitialized(nn.Linear, width, width)
        self._activation = ACTIVATIONS[architecture.activation]

    def forward(self, frames: Frames, paddings: Paddings, is_valid: ValidFrames) -> Frames:
        frames = self.ln(frames)
        hidden = self.lin1(frames) * self.lin2(frames).sigmoid() * is_valid
        hidden = self.conv1(hidden.transpose(1, 2)).transpose(1, 2)
        return self.lin3(self._activation(self.bn(hidden, paddings)))


def build(workload: Workload) -> TorchModel:
    """The twin of the workload or of a variant; initial values are the JAX model's."""
    architecture: Architecture = workload.model_arguments["architecture"]
    parameters: _Leaves = {**subsample_leaves("linear")}
    buffers: dict[str, Leaf] = {}
    for index in range(architecture.size.depth):
        name, path = f"conformers.{index}", f"ConformerBlock_{index}"
        parameters |= _block_leaves(architecture, name, path)
        buffers |= statistics_leaves(f"{name}.conv.bn", f"{path}/ConvolutionBlock_0/BatchNorm_0")
    return TorchModel(
        make_module=functools.partial(Conformer, architecture),
        parameters={**parameters, **norm_leaves("ln", "LayerNorm_0"), **linear_leaves("lin", "Dense_0")},
        buffers=buffers,
        arrange=lambda inputs: inputs,
        loss=loss,
    )


def _block_leaves(architecture: Architecture, name: str, path: str) -> _Leaves:
    attention, convolution = f"{path}/MultiHeadedSelfAttention_0", f"{path}/ConvolutionBlock_0"
    return {
        **_feed_forward_leaves(f"{name}.ff1", f"{path}/FeedForwardModule_0"),
        **norm_leaves(f"{name}.mhsa.ln", f"{attention}/LayerNorm_0"),
        **_attention_leaves(architecture, f"{name}.mhsa.self_attention", f"{attention}/MultiHeadDotProductAttention_0"),
        **norm_leaves(f"{name}.conv.ln", f"{convolution}/LayerNorm_0"),
        **linear_leaves(f"{name}.conv.lin1", f"{convolution}/Dense_0"),
        **linear_leaves(f"{name}.conv.lin2", f"{convolution}/Dense_1"),
        f"{name}.conv.conv1.weight": Leaf(f"{convolution}/Conv_0/kernel", (2, 1, 0)),
        **norm_leaves(f"{name}.conv.bn", f"{convolution}/BatchNorm_0"),
        **linear_leaves(f"{name}.conv.lin3", f"{convolution}/Dense_2"),
        **_feed_forward_leaves(f"{name}.ff2", f"{path}/FeedForwardModule_1"),
        **(norm_leaves(f"{name}.ln", f"{path}/LayerNorm_0") if architecture.use_block_layer_norm else {}),
    }


def _attention_leaves(architecture: Architecture, name: str, path: str) -> _Leaves:
    width = architecture.size.width
    return {
        **projection_leaves(f"{name}.in_proj", path, ("query", "key", "value"), width),
        **projection_leaves(f"{name}.out_proj", path, ("out",), width),
        f"{name}.qs.scale": Leaf(f"{path}/QueryScaler_0/scale"),
    }


def _feed_forward_leaves(name: str, path: str) -> _Leaves:
    return {
        **norm_leaves(f"{name}.ln", f"{path}/LayerNorm_0"),
        **linear_leaves(f"{name}.linear1", f"{path}/Dense_0"),
        **linear_leaves(f"{name}.linear2", f"{path}/Dense_1"),
    }
