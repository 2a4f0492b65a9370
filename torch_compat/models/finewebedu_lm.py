"""The language model, the twin of `workloads/finewebedu_lm/model.py`."""

import functools
from collections.abc import Callable
from typing import Any, Self

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from algoperf_jax.workload import Batch, Loss, ParameterType, Workload
from torch_compat.layers.uninitialized import uninitialized
from torch_compat.transfer.torch_model import LINEAR, Joined, Leaf, TorchModel
from workloads.finewebedu_lm.architecture import NORM_EPSILON, Architecture, rotary_table

Tokens = Float[Tensor, "batch tokens features"]
Heads = Float[Tensor, "batch tokens heads head"]


class Transformer(nn.Module):
    """The network; it returns the logits of what follows each token."""

    freqs_cis: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        sizes = architecture
        self._table_shape = (sizes.max_length, sizes.head_width)
        self.embed_tokens = uninitialized(nn.Embedding, sizes.vocab_size, sizes.width)
        self.layers = nn.ModuleList(Block(sizes) for _ in range(sizes.depth))
        self.out_norm = nn.RMSNorm(sizes.width, eps=NORM_EPSILON)
        self.lm_head = uninitialized(nn.Linear, sizes.width, sizes.vocab_size, bias=False)
        self.lm_head.weight = self.embed_tokens.weight
        self.register_buffer("freqs_cis", self._table().float(), persistent=False)

    def forward(self, batch: Batch, *, dropout_rate: float) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits of `batch["inputs"]`; there is no dropout.

        Raises:
          ValueError: the rows are longer than those that the model was made for.
        """
        del dropout_rate
        tokens: Int[Tensor, "batch tokens"] = batch["inputs"]
        length, longest = tokens.shape[-1], self._table_shape[0]
        if length > longest:
            raise ValueError(f"rows of {length} tokens; the model was made for {longest} at most")
        hidden = self.embed_tokens(tokens)
        table = self.freqs_cis[:, :length]
        for layer in self.layers:
            hidden = layer(hidden, table)
        return self.lm_head(self.out_norm(hidden))

    def _table(self) -> Float[Tensor, "1 positions 1 pairs 2"]:
        return torch.from_numpy(rotary_table(*self._table_shape).copy())[None, :, None]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # A wider type gets digits that the narrower one does not have; a type narrower than float32 loses positions.
        super()._apply(fn, recurse)
        dtype = torch.promote_types(self.embed_tokens.weight.dtype, torch.float32)
        self.freqs_cis = self._table().to(self.freqs_cis.device, dtype)
        return self


class Block(nn.Module):
    """Attention and a multilayer perceptron, each with a residual connection."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.attn = Attention(architecture)
        self.attn_norm = nn.RMSNorm(architecture.width, eps=NORM_EPSILON)
        self.mlp = MLP(architecture)
        self.mlp_norm = nn.RMSNorm(architecture.width, eps=NORM_EPSILON)

    def forward(self, tokens: Tokens, table: Float[Tensor, "1 tokens 1 pairs 2"]) -> Tokens:
        tokens = tokens + self.attn(self.attn_norm(tokens), table)
        return tokens + self.mlp(self.mlp_norm(tokens))


class Attention(nn.Module):
    """Attention of tokens to themselves and to those before them."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.width
        self.attn_scale = nn.Parameter(torch.empty(()))
        self.w_qkv = uninitialized(nn.Linear, width, 3 * width, bias=False)
        self.w_out = uninitialized(nn.Linear, width, width, bias=False)
        self._num_heads = architecture.num_heads

    def forward(self, tokens: Tokens, table: Float[Tensor, "1 tokens 1 pairs 2"]) -> Tokens:
        query, key, value = self.w_qkv(tokens).unflatten(-1, (3, self._num_heads, -1)).unbind(2)
        query = (_of_length_one(_rotated(query, table)) * self.attn_scale).to(value.dtype)
        key = _of_length_one(_rotated(key, table)).to(value.dtype)
        query, key, value = (heads.transpose(1, 2) for heads in (query, key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, is_causal=True, scale=1.0)
        return self.w_out(attended.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """A multilayer perceptron whose hidden features have gates."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.fc1 = uninitialized(nn.Linear, architecture.width, 2 * architecture.mlp_width, bias=False)
        self.fc2 = uninitialized(nn.Linear, architecture.mlp_width, architecture.width, bias=False)

    def forward(self, tokens: Tokens) -> Tokens:
        return self.fc2(functional.glu(self.fc1(tokens)))


def _rotated(heads: Heads, table: Float[Tensor, "1 tokens 1 pairs 2"]) -> Heads:
    """Queries or keys, whose neighbouring features are turned by the angles of the table."""
    first, second = heads.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = table.unbind(-1)
    return torch.stack((first * cosine - second * sine, second * cosine + first * sine), dim=-1).flatten(-2)


def _of_length_one(heads: Heads) -> Heads:
    """Queries or keys, divided by their length plus epsilon."""
    return heads / (torch.linalg.vector_norm(heads, dim=-1, keepdim=True) + NORM_EPSILON)


def loss(
    targets: Int[Tensor, "*leading"],
    logits: Float[Tensor, "*leading vocabulary"],
    weights: Shaped[Tensor, "*leading"] | None = None,
    label_smoothing: Any = 0.0,
) -> Loss:
    """`workloads.finewebedu_lm.loss.loss` with the cross entropy of PyTorch, at least in float32."""
    leading, vocabulary = logits.shape[:-1], logits.shape[-1]
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    per_token = functional.cross_entropy(
        logits.reshape(-1, vocabulary), targets.reshape(-1), reduction="none", label_smoothing=float(label_smoothing)
    ).reshape(leading)
    if weights is None:
        return Loss(per_token.sum(), per_token.new_tensor(per_token.numel()), per_token)
    weights = weights.to(per_token.dtype)
    per_token = per_token * weights
    return Loss(per_token.sum(), weights.sum(), per_token)


def build(workload: Workload) -> TorchModel:
    """The twin of the workload; initial values are the JAX model's."""
    architecture: Architecture = workload.model_arguments["architecture"]
    leaves: dict[str, Leaf | Joined] = {"embed_tokens.weight": Leaf("embed/embedding")}
    for index in range(architecture.depth):
        leaves |= _block_leaves(architecture, f"layers.{index}", f"blocks_{index}")
    leaves["out_norm.weight"] = Leaf("out_ln/scale")
    return TorchModel(
        make_module=functools.partial(Transformer, architecture),
        parameters=leaves,
        buffers={},
        arrange=lambda inputs: inputs,
        loss=loss,
        parameter_types={name: kind for name in leaves for end, kind in _TYPES.items() if name.endswith(end)},
    )


_TYPES = {
    "w_qkv.weight": ParameterType.ATTENTION_QKV,
    "w_out.weight": ParameterType.ATTENTION_OUT,
    "norm.weight": ParameterType.LAYER_NORM_SCALE,
}
"""Ends of names -> roles that the names in the JAX tree do not tell."""


def _block_leaves(architecture: Architecture, name: str, path: str) -> dict[str, Leaf | Joined]:
    attention, perceptron = f"{path}/CausalAttn_0", f"{path}/Mlp_0"
    square = (architecture.width, architecture.width)
    return {
        f"{name}.attn.attn_scale": Leaf(f"{attention}/attn_scale"),
        f"{name}.attn.w_qkv.weight": Joined(
            tuple(Leaf(f"{attention}/{part}/kernel", (1, 2, 0), square) for part in ("query", "key", "value"))
        ),
        f"{name}.attn.w_out.weight": Leaf(f"{attention}/attn_out_proj/kernel", LINEAR),
        f"{name}.attn_norm.weight": Leaf(f"{path}/RMSNorm_0/scale"),
        f"{name}.mlp.fc1.weight": Leaf(f"{perceptron}/Dense_0/kernel", LINEAR),
        f"{name}.mlp.fc2.weight": Leaf(f"{perceptron}/Dense_1/kernel", LINEAR),
        f"{name}.mlp_norm.weight": Leaf(f"{path}/RMSNorm_1/scale"),
    }
