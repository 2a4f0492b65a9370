"""The configuration of the workload of `narrow_run`."""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    return base.named("narrow", variant)
