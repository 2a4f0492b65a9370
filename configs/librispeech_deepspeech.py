"""librispeech_deepspeech: a recurrent network that transcribes read English (LibriSpeech).

Run on the built-in speech: python -m algoperf_jax.main --config=configs/librispeech_deepspeech.py
Run on LibriSpeech:         python -m algoperf_jax.main --config=configs/librispeech_deepspeech.py --config.data_dir=D
A variant:                  python -m algoperf_jax.main --config=configs/librispeech_deepspeech.py:tanh
                            (also no_resnet, norm_and_spec_aug)
Small, for a CPU:           python -m algoperf_jax.main --config=configs/librispeech_deepspeech.py:small
Target: word error rate 0.119936 on validation and 0.074143 on test, within 44,405 seconds.
The published target was set with learning_rate 4.958e-3, one_minus_beta1 0.13626, beta2 0.62919, weight_decay 0.1147
and 720 steps of warm-up at batch size 256; the point below is for the built-in data.
Built-in target: word error rate 0.1 on both within 3,600 seconds, for which a GPU is needed; no run confirmed it yet.
The variant small has the same target within 360 seconds; two cores reach it in 30 seconds, in JAX and in PyTorch.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`tanh`, `no_resnet`, `norm_and_spec_aug`, `small`)."""
    config = base.named("librispeech_deepspeech", variant)
    config.hyperparameters = {
        "learning_rate": 3e-3,
        "beta2": 0.99,
        "weight_decay": 1e-2,
        "warmup_factor": 0.1,
        "dropout_rate": 0.0,
    }
    return config
