"""imagenet_resnet: ResNet-50 on ImageNet.

Run on the built-in pictures:  python -m algoperf_jax.main --config=configs/imagenet_resnet.py
Run on ImageNet:               python -m algoperf_jax.main --config=configs/imagenet_resnet.py --config.data_dir=DATA
A variant:                     python -m algoperf_jax.main --config=configs/imagenet_resnet.py:silu
                               (also gelu, large_bn_init)
Small, for a CPU:              python -m algoperf_jax.main --config=configs/imagenet_resnet.py:small
Target: accuracy 0.77431 on validation and 0.656 on test, within 66,159 seconds.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`silu`, `gelu`, `large_bn_init`, `small`)."""
    config = base.named("imagenet_resnet", variant)
    config.hyperparameters = {
        "learning_rate": 2e-3,
        "weight_decay": 1e-2,
        "warmup_factor": 0.05,
    }
    return config
