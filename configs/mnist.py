"""mnist: a one-hidden-layer classifier of digits, for development.

Run on the built-in digits:   python -m algoperf_jax.main --config=configs/mnist.py
Run on MNIST:                 python -m algoperf_jax.main --config=configs/mnist.py --config.data_dir=DATA
Target: accuracy 0.97 on validation and test, within 60 seconds.
Built-in target: 0.96 on both within 60 seconds; met after 4 seconds (3,661 steps) on two CPU cores.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration; there are no variants."""
    config = base.named("mnist", variant)
    config.hyperparameters = {
        "learning_rate": 1e-3,
        "weight_decay": 1e-3,
        "warmup_factor": 0.05,
    }
    return config
