"""The recurrent network for speech recognition, the twin of `workloads/librispeech_deepspeech/model.py`."""

import functools

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Workload
from torch_compat.layers.activations import ACTIVATIONS
from torch_compat.layers.ctc_loss import loss
from torch_compat.layers.frames import BatchNorm, Frames, LayerNorm, Paddings, Subsample, norm_leaves, subsample_leaves
from torch_compat.layers.log_mel import MelFilterbankFrontend, SpecAug
from torch_compat.layers.lstm import bidirectional_lstm
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.leaves import linear_leaves, statistics_leaves
from torch_compat.transfer.torch_model import LINEAR, Joined, Leaf, TorchModel
from workloads.librispeech_deepspeech.architecture import Architecture
from workloads.librispeech_deepspeech.model import GATES
from workloads.speech.features import NUM_MELS

_Leaves = dict[str, Leaf | Joined]


class DeepSpeech(nn.Module):
    """The network, on waveforms."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        size = architecture.size
        self.specaug = SpecAug(architecture.spec_augment)
        self.preprocessor = MelFilterbankFrontend()
        self.subsample = Subsample(
            NUM_MELS, size.width, size.conv_channels, architecture.activation, linear="lin", add_positions=False
        )
        self.lstms = nn.ModuleList(BatchRNN(architecture) for _ in range(size.num_recurrent_layers))
        self.ffns = nn.ModuleList(FeedForwardModule(architecture) for _ in range(size.num_feed_forward_layers))
        self.ln = LayerNorm(size.width) if architecture.normalization == "batch" else nn.Identity()
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
        for layer in self.lstms:
            frames = layer(frames, paddings)
        for layer in self.ffns:
            frames = layer(frames, paddings, dropout_rate)
        return self.lin(self.ln(frames)), paddings


class _Layer(nn.Module):
    """What recurrent and feed-forward layers share: a normalization, and a residual connection."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.size.width
        self._use_residual = architecture.use_residual
        self._norm_name = _norm_name(architecture)
        momentum = architecture.size.batch_norm_momentum
        self.add_module(
            self._norm_name,
            BatchNorm(width, momentum, scale="weight") if architecture.normalization == "batch" else LayerNorm(width),
        )

    def _normalized(self, frames: Frames, paddings: Paddings) -> Frames:
        norm = self.get_submodule(self._norm_name)
        return norm(frames, paddings) if isinstance(norm, BatchNorm) else norm(frames)

    def _added(self, frames: Frames, outputs: Frames) -> Frames:
        return frames + outputs if self._use_residual else outputs


class BatchRNN(_Layer):
    """A normalization and a bidirectional recurrent layer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        width = architecture.size.width
        self.lstm = uninitialized(nn.LSTM, width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, frames: Frames, paddings: Paddings) -> Frames:
        outputs = bidirectional_lstm(self.lstm, self._normalized(frames, paddings), paddings)
        return self._added(frames, outputs)


class FeedForwardModule(_Layer):
    """A normalization and a dense layer."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__(architecture)
        width = architecture.size.width
        self.lin = uninitialized(nn.Linear, width, width)
        self._activation = ACTIVATIONS[architecture.activation]

    def forward(self, frames: Frames, paddings: Paddings, dropout_rate: float) -> Frames:
        hidden = self._activation(self.lin(self._normalized(frames, paddings)))
        hidden = hidden * (1 - paddings)[..., None].to(hidden.dtype)
        return self._added(frames, functional.dropout(hidden, dropout_rate, self.training))


def build(workload: Workload) -> TorchModel:
    """The twin of the workload or of a variant; initial values are the JAX model's."""
    architecture: Architecture = workload.model_arguments["architecture"]
    size, has_batch_norm = architecture.size, architecture.normalization == "batch"
    norm, jax_norm = _norm_name(architecture), "BatchNorm_0" if has_batch_norm else "LayerNorm_0"
    layers = [(f"lstms.{k}", f"BatchRNN_{k}", _lstm_leaves) for k in range(size.num_recurrent_layers)]
    layers += [(f"ffns.{k}", f"FeedForwardModule_{k}", _dense_leaves) for k in range(size.num_feed_forward_layers)]
    parameters: _Leaves = {**subsample_leaves("lin")}
    buffers: dict[str, Leaf] = {}
    for name, path, leaves_of in layers:
        parameters |= norm_leaves(f"{name}.{norm}", f"{path}/{jax_norm}", "weight" if has_batch_norm else "scale")
        parameters |= leaves_of(name, path)
        if has_batch_norm:
            buffers |= statistics_leaves(f"{name}.{norm}", f"{path}/{jax_norm}")
    if has_batch_norm:
        parameters |= norm_leaves("ln", "LayerNorm_0")
    return TorchModel(
        make_module=functools.partial(DeepSpeech, architecture),
        parameters={**parameters, **linear_leaves("lin", "Dense_0")},
        buffers=buffers,
        arrange=lambda inputs: inputs,
        loss=loss,
    )


def _norm_name(architecture: Architecture) -> str:
    return "bn_normalization_layer" if architecture.normalization == "batch" else "normalization_layer"


def _dense_leaves(name: str, path: str) -> _Leaves:
    return {**linear_leaves(f"{name}.lin", f"{path}/Dense_0")}


def _lstm_leaves(name: str, path: str) -> _Leaves:
    """The tensors of both directions: gates joined, and two biases for the one of JAX, of which the first is 0."""
    leaves: _Leaves = {}
    for direction, suffix in enumerate(("", "_reverse")):
        cell = f"{path}/LSTM_0/LSTM/LSTMSequenceEncoder_{direction}/cell"
        weights = {
            part: Joined(tuple(Leaf(f"{cell}/{part}{gate}/kernel", LINEAR) for gate in GATES)) for part in ("i", "h")
        }
        biases = [
            Joined(tuple(Leaf(f"{cell}/h{gate}/bias", is_addend=is_addend) for gate in GATES))
            for is_addend in (True, False)
        ]
        leaves |= {
            f"{name}.lstm.weight_ih_l0{suffix}": weights["i"],
            f"{name}.lstm.weight_hh_l0{suffix}": weights["h"],
            f"{name}.lstm.bias_ih_l0{suffix}": biases[0],
            f"{name}.lstm.bias_hh_l0{suffix}": biases[1],
        }
    return leaves
