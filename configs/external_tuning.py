"""The external tuning ruleset: each of 3 studies tries 5 points of the submission's search space.

python -m algoperf_jax.main --config=configs/external_tuning.py:<workload> --config.search_space=<file>.json

The benchmark's time is the median over the studies of the fastest trial's time to the validation target. The workload's
own configuration file is not read: its values are for single trials of the default algorithm.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration; `variant` is the name of a workload or of a variant of one."""
    config = base.named(variant, "")
    config.ruleset = "external"
    config.num_studies = 3
    config.num_trials = 5
    return config
