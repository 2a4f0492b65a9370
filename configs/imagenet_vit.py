"""imagenet_vit: a vision transformer, ViT-S/16, on ImageNet.

Run on the built-in pictures:  python -m algoperf_jax.main --config=configs/imagenet_vit.py
Run on ImageNet:               python -m algoperf_jax.main --config=configs/imagenet_vit.py --config.data_dir=DATA
A variant:                     python -m algoperf_jax.main --config=configs/imagenet_vit.py:glu  (also post_ln, map)
Small, for a CPU:              python -m algoperf_jax.main --config=configs/imagenet_vit.py:small
Target: accuracy 0.77309 on validation and 0.6519 on test, within 69,768 seconds.
The published target was set with learning_rate 8.445e-4, one_minus_beta1 0.11042, beta2 0.99785, weight_decay 0.081354
and 6,999 steps of warm-up at batch size 1,024; the point below is for the built-in data.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`glu`, `post_ln`, `map`, `small`)."""
    config = base.named("imagenet_vit", variant)
    config.hyperparameters = {
        "learning_rate": 1e-3,
        "weight_decay": 2e-2,
        "warmup_factor": 0.05,
    }
    return config
