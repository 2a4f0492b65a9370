"""fastmri: a U-Net that reconstructs knees from a quarter of their k-space (fastMRI, single coil).

Run on the built-in volumes:  python -m algoperf_jax.main --config=configs/fastmri.py
Run on fastMRI:               python -m algoperf_jax.main --config=configs/fastmri.py --config.data_dir=DATA
A variant:                    python -m algoperf_jax.main --config=configs/fastmri.py:tanh  (layernorm, model_size)
Small, for development:       python -m algoperf_jax.main --config=configs/fastmri.py:small
Target: SSIM 0.723653 on validation and 0.740633 on test, within 4,430 seconds.
On real data, the evaluation splits take 8.8 GB on the devices, more than the default of config.evaluation.stage_bytes;
batches that do not fit are made again for each evaluation, which is not timed.
Built-in target: 0.80 on both within 1,800 seconds, which needs a GPU. The variant small is a network with two
downsampling stages and 12 channels on 64x64 images. Its built-in target is 0.795 on both within 300 seconds, met after
about 400 steps; the SSIM of its inputs is 0.64. On real data it uses the center of each slice.
"""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    """The configuration of the workload or of a variant (`layernorm`, `model_size`, `small`, `tanh`)."""
    config = base.named("fastmri", variant)
    config.hyperparameters = {
        "learning_rate": 2e-3,
        "weight_decay": 1e-3,
        "warmup_factor": 0.05,
    }
    return config
