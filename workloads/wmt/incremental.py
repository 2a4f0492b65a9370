"""Decoding one token at a time: what does not change from token to token is computed once and kept.

Each function is pure. `Decoder` holds those of one model:

    source = decoder.read_source(params, inputs)
    cache = decoder.start_cache(params, batch_size, length)
    logits, cache = decoder.step(params, source, cache, tokens, 0)
"""

import dataclasses
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from algoperf_jax.workload import Parameters
from workloads.wmt.architecture import Architecture
from workloads.wmt.blocks import KeysAndValues
from workloads.wmt.model import Transformer


class Source(NamedTuple):
    """What the decoder knows of the sentences that it translates, the same for every token.

    Attributes:
      layers: keys and values for each block.
      is_token: which places hold tokens.
    """

    layers: tuple[KeysAndValues, ...]
    is_token: Bool[Array, "sources tokens"]


Cache = tuple[KeysAndValues, ...]
"""Keys and values of the tokens so far, for each block. Rows can be gathered, and places appended along axis 2."""


@dataclasses.dataclass(frozen=True)
class Decoder:
    """The functions of one model.

    Attributes:
      architecture: of the model.
    """

    architecture: Architecture

    def read_source(self, params: Parameters, inputs: Int[Array, "sources tokens"]) -> Source:
        """Encodes sentences, one to a row and padded with 0."""
        inputs = jnp.asarray(inputs)
        encoded = self._apply(params, Transformer.encode, inputs)
        return Source(self._apply(params, Transformer.source_keys_and_values, encoded), inputs > 0)

    def start_cache(self, params: Parameters, batch_size: int, length: int) -> Cache:
        """An empty cache for `batch_size` rows, with places for `length` tokens."""
        size = self.architecture.size
        dtype = params["shared_embedding"]["embedding"].dtype
        empty = jnp.zeros((batch_size, size.num_heads, length, size.width // size.num_heads), dtype)
        return ((empty, empty),) * size.depth

    def step(
        self, params: Parameters, source: Source, cache: Cache, tokens: Int[Array, " batch"], position: Any
    ) -> tuple[Float[Array, "batch vocabulary"], Cache]:
        """What may follow a token.

        Args:
          params: of the model.
          source: the sentences.
          cache: of the tokens before.
          tokens: one of each row; 0 is the one that a translation begins with. The number of rows is that of the
            sources or a multiple of it: the rows of one source, such as beams, are next to each other.
          position: position of these tokens, from 0 on; the same for all rows, may be traced.

        Returns:
          Logits, and the cache with these tokens.
        """
        return self._apply(params, Transformer.step, tokens, cache, source.layers, source.is_token, position)

    def _apply(self, params: Parameters, method: Any, *arguments: Any) -> Any:
        network = Transformer(self.architecture, deterministic=True)
        return network.apply({"params": params}, *arguments, method=method)
