"""wmt: a transformer that translates German to English (WMT17 for training, WMT14 for evaluation).

Run on the built-in sentences:  python -m algoperf_jax.main --config=configs/wmt.py
Run on WMT:                     python -m algoperf_jax.main --config=configs/wmt.py --config.data_dir=DATA
A variant:                      python -m algoperf_jax.main --config=configs/wmt.py:post_ln  (attention_temp, glu_tanh)
Small, for a CPU:               python -m algoperf_jax.main --config=configs/wmt.py:small
Target: BLEU 30.8491 on validation and 30.7219 on test, within 43,336 seconds.
The published target was set with learning_rate 1.749e-3, one_minus_beta1 0.06734, beta2 0.99552, weight_decay 0.081216,
label_smoothing 0 and 1,999 steps of warm-up at batch size 128; the point below is for the built-in data.
Built-in target: BLEU 80 on both within 3,600 seconds, for which a GPU is needed; no run has confirmed it yet. The
variant small has to reach BLEU 90 on both within 300 seconds; two cores do so in a minute, after about 300 steps.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`post_ln`, `attention_temp`, `glu_tanh`, `small`)."""
    config = base.named("wmt", variant)
    config.hyperparameters = {
        "learning_rate": 2e-3,
        "beta2": 0.98,
        "weight_decay": 1e-2,
        "warmup_factor": 0.05,
        "dropout_rate": 0.0,
    }
    return config
