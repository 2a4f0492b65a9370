"""The self-tuning ruleset: 3 studies of one trial without hyperparameters, with 1.5 times the budget.

python -m algoperf_jax.main --config=configs/self_tuning.py:<workload> --config.submission=<file>.py

The benchmark's time is the median over the studies of the time to the validation target.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration; `variant` is the name of a workload or of a variant of one."""
    config = base.named(variant, "")
    config.ruleset = "self"
    config.num_studies = 3
    return config
