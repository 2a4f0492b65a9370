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
    """The window, under the name that the reference has for it; it is part of `dft_matrix`."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.from_numpy(features.hann_window()).float()[None, :, None].unsqueeze(0))


class MelFilterbankFrontend(nn.Module):
    """Normalized log-mel features of waveforms."""

    _normalizer_mean: Tensor
    _normalizer_stddev: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name, values in (("_normalizer_mean", MEAN), ("_normalizer_stddev", STDDEV)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32)[:, None].expand(1, 1, -1, 1).clone())
        self.stft = SpectrogramFrontend()
        self._matrices = self._constants()

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
        to_spectrum, to_mels = self._matrices
        # Silence has small numbers in these features, which an imprecise product would blur.
        with torch.autocast(waveforms.device.type, enabled=False):
            real, imaginary = (frames @ to_spectrum).chunk(2, dim=-1)
            energies = (real.square() + imaginary.square()) @ to_mels
        logarithms = energies.clamp(min=features.SMALLEST_ENERGY).log()
        normalized = (logarithms - self._normalizer_mean[0, 0, :, 0]) / self._normalizer_stddev[0, 0, :, 0]
        starts = features.FRAME_STEP * torch.arange(num_frames, device=waveforms.device)
        return normalized, (starts >= lengths[:, None]).float()

    @staticmethod
    def _constants() -> tuple[Float[Tensor, "window parts"], Float[Tensor, "bins mels"]]:
        """Spectrum of a frame, and energies of a power spectrum, as products of matrices."""
        to_mels = features.mel_matrix()[features.audible()]
        return torch.from_numpy(features.dft_matrix().copy()), torch.from_numpy(to_mels.copy())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # Moves the matrices along with the parameters. They are no buffers, because the reference has none.
        super()._apply(fn, recurse)
        to_spectrum, to_mels = self._constants()
        self._matrices = fn(to_spectrum), fn(to_mels)
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
