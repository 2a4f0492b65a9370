"""cifar: ResNet-18 on CIFAR-10, for development.

Run on the built-in shapes:   python -m algoperf_jax.main --config=configs/cifar.py
Run on CIFAR-10:              python -m algoperf_jax.main --config=configs/cifar.py --config.data_dir=DATA
Target: accuracy 0.85 on validation and test, within one hour.
Built-in target: 0.95 on both within 900 seconds; met after 186 seconds (180 steps) on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration; there are no variants."""
    config = base.named("cifar", variant)
    config.hyperparameters = {
        "learning_rate": 2e-3,
        "weight_decay": 1e-4,
        "warmup_factor": 0.1,
    }
    return config
