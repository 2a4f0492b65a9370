"""librispeech_conformer: a Conformer that transcribes read English (LibriSpeech).

Run on the built-in speech: python -m algoperf_jax.main --config=configs/librispeech_conformer.py
Run on LibriSpeech:         python -m algoperf_jax.main --config=configs/librispeech_conformer.py --config.data_dir=D
A variant:                  python -m algoperf_jax.main --config=configs/librispeech_conformer.py:attention_temperature
                            (also layernorm, gelu)
Small, for a CPU:           python -m algoperf_jax.main --config=configs/librispeech_conformer.py:small
Target: word error rate 0.085884 on validation and 0.052981 on test, within 58,015 seconds.
The published target was set with learning_rate 2.107e-3, one_minus_beta1 0.17688, beta2 0.87746, weight_decay 0.2759
and 1,199 steps of warm-up at batch size 256, with AdamW; the point below is for the built-in data.
Built-in target: word error rate 0.1 on both within 3,600 seconds, for which a GPU is needed; no run confirmed it yet.
The variant small has the same target within 360 seconds; two cores reach it in 30 seconds, in JAX and in PyTorch.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`attention_temperature`, `layernorm`, `gelu`, `small`)."""
    config = base.named("librispeech_conformer", variant)
    config.hyperparameters = {
        "learning_rate": 3e-3,
        "beta2": 0.99,
        "weight_decay": 1e-2,
        "warmup_factor": 0.1,
        "dropout_rate": 0.0,
    }
    return config
