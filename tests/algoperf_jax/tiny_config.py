"""The configuration of `tiny_workload`."""

from ml_collections import ConfigDict

from configs import base


def get_config(variant: str = "") -> ConfigDict:
    return base.named("tiny", variant)
