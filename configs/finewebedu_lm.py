"""finewebedu_lm: a transformer that predicts the next token of web pages (FineWeb-Edu).

Run on the built-in text:  python -m algoperf_jax.main --config=configs/finewebedu_lm.py
Run on FineWeb-Edu:        python -m algoperf_jax.main --config=configs/finewebedu_lm.py --config.data_dir=DATA
Small, for a CPU:          python -m algoperf_jax.main --config=configs/finewebedu_lm.py:small
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of its variant `small`."""
    config = base.named("finewebedu_lm", variant)
    config.hyperparameters = {
        "learning_rate": 2e-3,
        "beta2": 0.98,
        "weight_decay": 1e-2,
        "warmup_factor": 0.05,
    }
    return config
