"""criteo1tb: a recommendation model that predicts clicks on advertisements (Criteo 1TB click logs).

Run on the built-in click logs: python -m algoperf_jax.main --config=configs/criteo1tb.py
Run on Criteo 1TB:              python -m algoperf_jax.main --config=configs/criteo1tb.py --config.data_dir=DATA
A variant:                      python -m algoperf_jax.main --config=configs/criteo1tb.py:small
                                (also layernorm, resnet, embed_init, test)
Target: loss 0.123735 on validation and 0.126041 on test, within 7,703 seconds.
On real data, the best published point for this algorithm is learning_rate 3.3313e-3, one_minus_beta1 0.052,
beta2 0.99879, weight_decay 3.578e-3, warmup_factor 0.015; the point below is for the built-in data.
Built-in target of small: 0.1125 on both within 180 seconds; met after about 600 steps on two busy CPU cores.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant."""
    config = base.named("criteo1tb", variant)
    config.hyperparameters = {
        "learning_rate": 3e-3,
        "beta2": 0.999,
        "weight_decay": 1e-3,
        "warmup_factor": 0.05,
    }
    return config
