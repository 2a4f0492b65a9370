"""finewebedu_lm: a transformer that predicts the next token of web pages (FineWeb-Edu).

Run on the built-in text:  python -m algoperf_jax.main --config=configs/finewebedu_lm.py
Run on FineWeb-Edu:        python -m algoperf_jax.main --config=configs/finewebedu_lm.py --config.data_dir=DATA
Small, for a CPU:          python -m algoperf_jax.main --config=configs/finewebedu_lm.py:small
Target, in the edition v0.6-a100: perplexity below 22.2995 on validation within 31,967 seconds; there is no test split.
The published target was set with learning_rate 3.9555e-4, one_minus_beta1 0.061246, beta2 0.953517, weight_decay
0.032687, label_smoothing 0.1 and 2,025 steps of warm-up in 54,000 at batch size 64; the point below is for the built-in
text.
Built-in target: perplexity 80 within 3,600 seconds, for which a GPU is needed; no run has confirmed it yet. The lowest
possible one is 53.09. The variant small has to reach 30 within 300 seconds, where 19.07 is the lowest possible; that
takes 440 steps.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of its variant `small`."""
    config = base.named("finewebedu_lm", variant)
    config.edition = "v0.6-a100"
    config.hyperparameters = {
        "learning_rate": 3e-3,
        "beta2": 0.98,
        "weight_decay": 1e-2,
        "warmup_factor": 0.05,
    }
    return config
