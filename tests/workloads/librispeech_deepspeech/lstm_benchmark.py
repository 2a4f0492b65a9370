"""The recurrent layer of the full model, forward and backward, beside the one that goes cell by cell.

`python -m tests.workloads.librispeech_deepspeech.lstm_benchmark`. Both run in one process, in turns.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from tests.workloads.librispeech_deepspeech.plain_lstm import plain_bidirectional_lstm
from workloads.librispeech_deepspeech.lstm import Weights, scanned_lstm

WIDTH = 512
SHAPES = ((2, 500), (8, 125))
"""Utterances and their frames: 20 s and 5 s of speech."""


def gradient_of(layer: Callable[..., jax.Array], paddings: Any) -> Callable[..., Any]:
    """`(frames, weights) -> (value, gradients)` of the sum of squared outputs."""
    return jax.jit(
        jax.value_and_grad(lambda frames, weights: (layer(frames, paddings, weights) ** 2).sum(), argnums=(0, 1))
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.workloads.librispeech_deepspeech.lstm_benchmark", description=__doc__
    )
    parser.add_argument("--rounds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--width", type=int, default=WIDTH, help="default: %(default)s, that of the full model")
    options = parser.parse_args(arguments)
    rng, width = np.random.default_rng(0), options.width
    shapes = (2, width, 4 * width), (2, width, 4 * width), (2, 4 * width)
    weights = Weights(*((rng.standard_normal(shape) / width**0.5).astype(np.float32) for shape in shapes))
    for batch, frames in SHAPES:
        inputs = rng.standard_normal((batch, frames, width)).astype(np.float32)
        layers = {"ours": scanned_lstm, "cell by cell": plain_bidirectional_lstm}
        compute = {name: gradient_of(layer, np.zeros((batch, frames), np.float32)) for name, layer in layers.items()}
        seconds: dict[str, list[float]] = {name: [] for name in compute}
        for _ in range(1 + options.rounds):
            for name, function in compute.items():
                begin = time.perf_counter()
                jax.block_until_ready(function(inputs, weights))
                seconds[name].append(time.perf_counter() - begin)
        # The first call of each compiles.
        medians = {name: float(np.median(times[1:])) for name, times in seconds.items()}
        shown = ", ".join(f"{name} {1e3 * value:.0f} ms" for name, value in medians.items())
        print(f"{batch} x {frames} frames: {shown}, ratio {medians['ours'] / medians['cell by cell']:.2f}")


if __name__ == "__main__":
    main()
