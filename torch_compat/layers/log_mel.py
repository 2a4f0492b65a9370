"""Log-mel features and SpecAugment, the twins of `workloads/speech/features.py` and `spec_augment.py`."""

from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional

from workloads.speech import features
from workloads.speech.feature_statistics import MEAN, STDDEV
from workloads.speech.spec_augment import SpecAugment, Uniforms, visible


class SpectrogramFrontend(nn.Module):
    """The window, under the name that the reference has for it."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.from_numpy(features.hann_window())[None, :, None].unsqueeze(0))


class MelFilterbankFrontend(nn.Module):
    """Normalized log-mel features of waveforms."""

    _normalizer_mean: Tensor
    _normalizer_stddev: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("_normalizer_mean", MEAN), ("_normalizer_stddev", STDDEV)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None].expand(1, 1, -1, 1).clone())
        self.stft = SpectrogramFrontend()
        self._to_mels = self._constant()

    def forward(
        self, waveforms: Shaped[Tensor, "batch samples"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch frames bins"], Float[Tensor, "batch frames"]]:
        """Features and their paddings, see `log_mel`."""
        dtype, num_samples = self._normalizer_mean.dtype, waveforms.shape[1]
        is_valid = torch.arange(num_samples, device=waveforms.device) < lengths[:, None]
        waveforms = torch.where(is_valid, waveforms, torch.zeros_like(waveforms)).to(dtype)
        emphasized = waveforms - features.PRE_EMPHASIS * functional.pad(waveforms, (1, 0))[:, :-1]
        num_frames = features.num_frames(num_samples)
        frames = emphasized.unfold(1, features.WINDOW_LENGTH, features.FRAME_STEP)[:, :num_frames]
        window = self.stft.window.flatten() / features.FULL_SCALE
        spectrum = torch.fft.rfft(frames * window, features.FFT_LENGTH)[..., features.audible()]
        # Silence has small numbers in these features, which an imprecise product would blur.
        with torch.autocast(waveforms.device.type, enabled=False):
            energies = (spectrum.real.square() + spectrum.imag.square()) @ self._to_mels
        logarithms = energies.clamp(min=features.SMALLEST_ENERGY).log()
        normalized = (logarithms - self._normalizer_mean[0, 0, :, 0]) / self._normalizer_stddev[0, 0, :, 0]
        starts = features.FRAME_STEP * torch.arange(num_frames, device=waveforms.device)
        return normalized, (starts >= lengths[:, None]).float()

    @staticmethod
    def _constant() -> Float[Tensor, "bins mels"]:
        """Sums the powers of a spectrum to energies."""
        return torch.from_numpy(features.mel_matrix()[features.audible()].copy())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moves the matrix along with the parameters. It is no buffer, because the reference has none.
        super()._apply(fn, recurse)
        self._to_mels = fn(self._constant())
        return self


class SpecAug(nn.Module):
    """Hides bands of time and of frequency in training mode.

    Args:
      masks: how many.
    """

    def __init__(self, masks: SpecAugment) -> None:
        super().__init__()
        self._masks = masks

    def forward(
        self, frames: Float[Tensor, "batch frames bins"], paddings: Float[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames bins"]:
        if not self.training:
            return frames
        counts = (self._masks.num_time_masks,) * 2 + (self._masks.num_frequency_masks,) * 2
        uniforms = Uniforms(*(torch.rand((len(frames), count), device=frames.device) for count in counts))
        kept = visible(uniforms, (paddings == 0).sum(dim=1), *frames.shape[1:])
        return frames * kept.to(frames.dtype)
