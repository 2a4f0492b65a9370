"""Two small workloads that use every freedom of the contract: what translation and speech will need.

`packed`: rows of tokens that contain several sequences, with a weight for each token. `spoken`: frames and labels of
various lengths, logits with paddings, and a loss that is a scan, with a separate function in PyTorch.
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

import workloads
from algoperf_jax.data import arrays
from algoperf_jax.workload import (
    ArraySpec,
    Batch,
    Budget,
    Data,
    Goal,
    Loss,
    LossType,
    Metrics,
    Partial,
    Placement,
    SplitName,
    SplitReader,
    Workload,
)
from workloads import losses, metrics, schemas
from workloads.dropout import Dropout
from workloads.flax_model import flax_model
from workloads.layers.attention import multi_head_attention

VOCABULARY, LENGTH, FRAMES, LABELS, WIDTH = 7, 12, 10, 4, 8
SPLIT_SIZES = {"train": 96, "eval_train": 32, "validation": 40, "test": 32}
ENTRIES = {
    "packed": workloads.Entry("tests.workloads.sequences", base=workloads.Variant({"kind": "packed"})),
    "spoken": workloads.Entry("tests.workloads.sequences", base=workloads.Variant({"kind": "spoken"})),
}


def build(name: str, *, data_dir: str | None = None, kind: str) -> Workload:
    facts: dict[str, Any] = {
        "name": name,
        "base_name": name,
        "data": Data("builtin" if data_dir is None else "prepared", _OPENED[kind], lambda: {"dataset": kind}),
        "budget": Budget(max_runtime_sec=1000, eval_period_sec=1000, step_hint=100),
        "batch_size": 16,
        "eval_batch_size": 24,
        "split_sizes": SPLIT_SIZES,
        "output_parameters": ("Dense_0",),
        "dropout_rate": 0.1,
    }
    if kind == "packed":
        row = jax.ShapeDtypeStruct((1, LENGTH), "int32")
        init, apply = flax_model(
            PackedNetwork, dict.fromkeys(_PACKED_INPUTS, row), dropout_rate=0.1, inputs_of=_packed_inputs
        )
        return Workload(
            init=init,
            apply=apply,
            loss=losses.softmax_cross_entropy,
            loss_type=LossType.SOFTMAX_CROSS_ENTROPY,
            metrics=metrics.classification(apply, losses.softmax_cross_entropy),
            goal=Goal("accuracy", "maximize", validation=1.5),
            schema=schemas.every_split(
                {
                    **dict.fromkeys((*_PACKED_INPUTS, "targets"), ArraySpec((LENGTH,), "int32")),
                    "weights": ArraySpec((LENGTH,)),
                }
            ),
            **facts,
        )
    frames = jax.ShapeDtypeStruct((1, FRAMES, 1), "float32"), jax.ShapeDtypeStruct((1, FRAMES), "float32")
    init, apply = flax_model(SpokenNetwork, frames, dropout_rate=0.1, batch_stats=True)
    return Workload(
        init=init,
        apply=apply,
        loss=ctc_loss,
        loss_type=LossType.CTC_LOSS,
        metrics=_spoken_metrics(apply),
        goal=Goal("loss", "minimize", validation=-1.0),
        schema=schemas.every_split(
            {
                "inputs": (ArraySpec((FRAMES, 1)), ArraySpec((FRAMES,))),
                "targets": (ArraySpec((LABELS,), "int32"), ArraySpec((LABELS,))),
                "weights": ArraySpec(),
            }
        ),
        **facts,
    )


# --- packed ---------------------------------------------------------------------------------------------------------

_PACKED_INPUTS = ("inputs", "inputs_position", "inputs_segmentation")


def _packed_inputs(batch: Batch) -> dict[str, Any]:
    return {name: batch[name] for name in _PACKED_INPUTS}


class PackedNetwork(nn.Module):
    """Tokens attend to earlier tokens of the same sequence: returns logits [B, L, VOCABULARY]."""

    deterministic: bool

    @nn.compact
    def __call__(self, batch: Any, dropout_rate: Any) -> jax.Array:
        segments = batch["inputs_segmentation"]
        tokens = nn.Embed(VOCABULARY, WIDTH)(batch["inputs"]) + nn.Embed(LENGTH, WIDTH)(batch["inputs_position"])
        mask = nn.combine_masks(
            nn.make_attention_mask(segments, segments, jnp.equal), nn.make_causal_mask(segments), dtype=jnp.bool_
        )
        attended = multi_head_attention(2, name="attention", use_bias=False, temperature=0.5)(tokens, mask=mask)
        return nn.Dense(VOCABULARY)(Dropout(self.deterministic)(tokens + attended, dropout_rate))


def _packed_rows(split: str) -> arrays.Columns:
    """Two sequences in a row, and padding; the task is to repeat the previous token, or 1 at the start."""
    rng = np.random.default_rng(list(SPLIT_SIZES).index(split))
    count = SPLIT_SIZES[split]
    lengths = rng.integers(2, LENGTH // 2, (count, 2))
    place = np.arange(LENGTH)
    second, end = lengths[:, :1], lengths.sum(1, keepdims=True)
    segment = np.where(place < second, 1, np.where(place < end, 2, 0))
    position = np.where(segment == 0, 0, np.where(segment == 1, place, place - second))
    tokens = np.where(segment > 0, rng.integers(1, VOCABULARY, (count, LENGTH)), 0)
    targets = np.where(position > 0, np.roll(tokens, 1, axis=1), segment > 0)
    columns = {
        "inputs": tokens,
        "inputs_position": position,
        "inputs_segmentation": segment,
        "targets": targets,
    }
    return {name: column.astype(np.int32) for name, column in columns.items()}


def _token_weights(batch: Batch) -> Batch:
    weights = batch["weights"][:, None] * (batch["inputs_segmentation"] > 0)
    return {**batch, "weights": weights.astype(np.float32)}


# --- spoken ---------------------------------------------------------------------------------------------------------


class SpokenNetwork(nn.Module):
    """Frames [B, T, 1] and paddings [B, T] -> logits [B, T, VOCABULARY] and the paddings."""

    deterministic: bool
    use_running_average: bool

    @nn.compact
    def __call__(self, inputs: Any, dropout_rate: Any) -> tuple[jax.Array, jax.Array]:
        frames, paddings = inputs
        hidden = nn.relu(nn.Dense(WIDTH, name="hidden")(frames))
        # Added, since after a normalization the gradient of a layer's scale is only rounding.
        hidden = hidden + nn.BatchNorm(self.use_running_average)(hidden)
        hidden = Dropout(self.deterministic)(hidden, dropout_rate)
        return nn.Dense(VOCABULARY)(hidden), jnp.asarray(paddings)


def ctc_loss(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """Connectionist temporal classification, which needs a scan; counts target tokens."""
    del label_smoothing
    (labels, label_paddings), (scores, paddings) = targets, logits
    of_example = 1.0 if weights is None else jnp.asarray(weights, scores.dtype)
    per_example = optax.ctc_loss(scores, paddings, labels, label_paddings) * of_example
    num_tokens = ((1 - label_paddings).sum(-1) * of_example).sum()
    return Loss(per_example.sum(), num_tokens, per_example)


def torch_ctc_loss(targets: Any, logits: Any, weights: Any = None, label_smoothing: Any = 0.0) -> Loss:
    """The same with PyTorch's own."""
    del label_smoothing
    (labels, label_paddings), (scores, paddings) = targets, logits
    of_example = torch.ones(len(scores)) if weights is None else weights.to(scores.dtype)
    num_frames, num_labels = ((1 - padding).sum(-1).to(torch.int64) for padding in (paddings, label_paddings))
    scores = torch.log_softmax(scores, -1).transpose(0, 1)
    per_example = torch.nn.functional.ctc_loss(scores, labels, num_frames, num_labels, reduction="none") * of_example
    return Loss(per_example.sum(), (num_labels * of_example).sum(), per_example)


def _spoken_metrics(apply: Any) -> Metrics:
    def batch_step(params: Any, model_state: Any, batch: Batch, rng: Any) -> Partial:
        logits, _ = apply(params, model_state, batch, rng, train=False, update_batch_norm=False)
        loss = ctc_loss(batch["targets"], logits, batch["weights"])
        return Partial(sums={"loss": loss.summed, "tokens": loss.n_valid_examples}, rows={})

    return Metrics(batch_step, lambda sums, rows: {"loss": sums["loss"] / sums["tokens"]})


def _spoken_rows(split: str) -> arrays.Columns:
    """Each label lasts for two frames, whose values are the label plus noise."""
    rng = np.random.default_rng(list(SPLIT_SIZES).index(split))
    count = SPLIT_SIZES[split]
    num_labels = rng.integers(1, LABELS + 1, count)
    is_label = np.arange(LABELS) < num_labels[:, None]
    labels = np.where(is_label, rng.integers(1, VOCABULARY, (count, LABELS)), 0)
    frames = np.zeros((count, FRAMES), np.float32)
    frames[:, : 2 * LABELS] = labels.repeat(2, axis=1)
    frames += 0.1 * rng.standard_normal(frames.shape)
    paddings = np.arange(FRAMES) >= 2 * num_labels[:, None] + 1
    return {
        "frames": frames[..., None].astype(np.float32),
        "paddings": paddings.astype(np.float32),
        "labels": labels.astype(np.int32),
        "label_paddings": 1 - is_label.astype(np.float32),
    }


def _spoken_batch(columns: arrays.Columns) -> Batch:
    return {
        "inputs": (columns["frames"], columns["paddings"]),
        "targets": (columns["labels"], columns["label_paddings"]),
    }


# --- data -----------------------------------------------------------------------------------------------------------


def _open(rows: Any, transform: Any, finish: Any) -> Any:
    def open_split(split: SplitName, *, batch_size: int, seed: int, placement: Placement) -> SplitReader:
        options: dict[str, Any] = {"batch_size": batch_size, "placement": placement, "transform": transform}
        reader = (
            arrays.training_split(rows(split), seed=seed, **options)
            if split == "train"
            else arrays.evaluation_split(rows(split), **options)
        )
        return dataclasses.replace(reader, batch=lambda k: finish(reader.batch(k)))

    return open_split


_OPENED = {
    "packed": _open(_packed_rows, dict, _token_weights),
    "spoken": _open(_spoken_rows, _spoken_batch, lambda batch: batch),
}
