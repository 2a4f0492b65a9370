"""Every configuration key, with its type, default, range and meaning.

`GROUPS` is the single source: `get_config` makes the defaults from it, the command line parses values by its types, and
`python -m algoperf_jax.main --help` prints it. A configuration file or an override with any other key is an error.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers from `least` to `most`, without `least` if `above` is true; `words` describe the range in errors."""

    words: str
    least: float
    most: float = 2.0**63
    above: bool = False

    def __contains__(self, number: float) -> bool:
        """Whether a number is in the range; nan and infinity never are."""
        return self.least <= number <= self.most and not (self.above and number == self.least)


POSITIVE = Range("a positive number below 2**63", 0, above=True)
NOT_NEGATIVE = Range("0 or more, below 2**63", 0)
SEED = Range("0 to 4294967295, a seed of 32 bits", 0, 2**32 - 1)


@dataclasses.dataclass(frozen=True)
class Key:
    """A configuration key.

    Attributes:
      name: as in `--config.NAME=VALUE`; dots separate the levels of nested keys.
      type: `int`, `float`, `bool` or `str`, or `ConfigDict` for hyperparameters, whose names the submission chooses.
      default: None if the value comes from elsewhere unless the key is set. Only such a key may be set to None.
      meaning: what the key does, with its unit.
      range: the valid numbers, or None for no limits.
    """

    name: str
    type: type
    default: Any
    meaning: str
    range: Range | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """Keys that are listed together; `note` applies to all of them."""

    title: str
    keys: tuple[Key, ...]
    note: str = ""


GROUPS = (
    Group(
        "Workload",
        (
            Key("workload", str, "", "Name of a workload or of a variant: `python -m algoperf_jax.main --list`."),
            Key("data_dir", str, None, "Folder with prepared data (see BUILD.md), or unset for the built-in data."),
            Key(
                "edition",
                str,
                "v0.6",
                "Edition of AlgoPerf: `v0.6`, or `v0.6-a100` of 2026. It decides the workloads on real data, their "
                "budgets, periods and batches of evaluation, and the precision.",
            ),
        ),
    ),
    Group(
        "Training algorithm",
        (
            Key("submission", str, "nadamw", "A ready-made algorithm, the path of a .py file, or a dotted module."),
            Key(
                "framework",
                str,
                None,
                "Its framework: `jax`, `pytorch`, or `jax_pmap` for JAX submissions with a leading axis of "
                "devices. If unset, it is detected from the submission's files; a name then means a ready-made "
                "algorithm in JAX.",
            ),
            Key(
                "torch_model",
                str,
                "auto",
                "The model of PyTorch submissions: `twin` (a native module), `bridge` (the JAX model inside a "
                "module), or `auto` (the twin if there is one).",
            ),
            Key(
                "hyperparameters",
                ConfigDict,
                None,
                "Its hyperparameters, as --config.hyperparameters.NAME=VALUE; the others keep the algorithm's "
                "defaults. Values are converted to the types of the defaults that a submission declares. Write "
                "tuples as (0.8,0.9), [0.8,0.9] or 0.8,0.9; quotes make any value text.",
            ),
        ),
    ),
    Group(
        "Training",
        (
            Key("seed", int, 0, "Seed of initialization, dropout, shuffling and augmentation.", SEED),
            Key(
                "ruleset",
                str,
                "external",
                "`external` (with a given hyperparameter point) or `self` (without one; 1.5 times the budget).",
            ),
            Key(
                "precision",
                str,
                None,
                "Precision of float32 matrix products, for every submission in either framework: `highest` "
                "(float32), `tf32` or `bf16` (as fast as the device allows). If unset, that of the edition: `highest` "
                "in v0.6, `tf32` in v0.6-a100. What these mean on each device: algoperf_jax/devices/precision.py.",
            ),
            Key(
                "timing_rules",
                str,
                "standard",
                "`standard`, or `reference` for the bookkeeping of AlgoPerf v0.6's runner.",
            ),
        ),
    ),
    Group(
        "Studies",
        (
            Key(
                "search_space",
                str,
                None,
                "JSON file with the hyperparameters of the trials: a list of points, or ranges that points are drawn "
                "from. The hyperparameters of the configuration file are then ignored.",
            ),
            Key(
                "num_trials",
                int,
                None,
                "Trials per study. If unset: every point of a list, 5 points from ranges, or 1 trial without a search "
                "space.",
                POSITIVE,
            ),
            Key(
                "num_studies",
                int,
                None,
                "Studies, numbered from config.study; all try the same points. If unset: 1.",
                POSITIVE,
            ),
            Key(
                "trials",
                str,
                None,
                "Only these trials of each study: `3`, `2:4` (both included), `:2` or `4:`. If unset: all.",
            ),
            Key("search_seed", int, 0, "Seed for drawing points from ranges.", SEED),
            Key(
                "share_compilation",
                bool,
                False,
                "Keep compiled JAX programs in <experiment_dir>/.compilation_cache, so that only the first trial that "
                "needs one compiles it. For development: timings are then not comparable with others.",
            ),
        ),
        note="Several trials in one command, each with its own seed, derived from config.seed. Setting one of the "
        "first three keys asks for a study; otherwise one trial is run, numbered by config.study and config.trial.",
    ),
    Group(
        "Limits and sizes",
        (
            Key("max_runtime_sec", float, None, "The time budget, in seconds of submission time.", POSITIVE),
            Key("eval_period_sec", float, None, "Seconds between evaluations.", POSITIVE),
            Key("step_hint", int, None, "Number of steps that submissions plan their schedules for.", POSITIVE),
            Key("max_steps", int, None, "Training is complete after this many steps.", POSITIVE),
            Key("batch_size", int, None, "Examples per training batch, over all devices.", POSITIVE),
            Key("eval_batch_size", int, None, "Examples per evaluation batch, over all devices.", POSITIVE),
        ),
        note="If unset, the workload or the submission decides. Results of runs that set one of the first four are not "
        "comparable with others, and their logs say so.",
    ),
    Group(
        "Logs and checkpoints",
        (
            Key("experiment_dir", str, "experiments", "Folder of all experiments."),
            Key("experiment_name", str, "default", "Folder of this experiment."),
            Key("study", int, 1, "Number of the study.", POSITIVE),
            Key("trial", int, 1, "Number of the trial.", POSITIVE),
            Key("overwrite", bool, False, "Delete the contents of the trial's directory and start over."),
            Key(
                "checkpoints_kept",
                int,
                2,
                "Number of newest checkpoints to keep; one is written after each evaluation.",
                POSITIVE,
            ),
            Key("tensorboard", bool, True, "Write TensorBoard event files."),
            Key(
                "progress_period_sec",
                float,
                15.0,
                "Seconds between progress lines when there is no terminal.",
                POSITIVE,
            ),
        ),
        note="<dir>/<name>/<submission>/study_<study>/<workload>_<framework>/trial_<trial>; `builtin` is inserted "
        "between workload and framework for runs on built-in data.",
    ),
    Group(
        "Devices and processes",
        (
            Key("mesh.data", int, None, "Devices that share each batch. If unset: all.", POSITIVE),
            Key(
                "mesh.shard_parameters",
                bool,
                False,
                "Split the parameters that the workload names (Workload.sharded_parameters) and their optimizer "
                "state by rows over these devices; otherwise each device holds all. For JAX submissions.",
            ),
            Key("distributed.coordinator_address", str, None, "HOST:PORT of process 0."),
            Key("distributed.num_processes", int, None, "Processes that share this run. If unset: 1.", POSITIVE),
            Key("distributed.process_id", int, None, "Number of this process, from 0.", NOT_NEGATIVE),
        ),
        note="How to start several processes: BUILD.md.",
    ),
    Group(
        "Input pipeline and evaluation",
        (
            Key(
                "input.workers",
                int,
                None,
                "Processes that decode images. If unset: one for each core that this process may use; 0 decodes in "
                "the threads.",
                NOT_NEGATIVE,
            ),
            Key("input.threads", int, 1, "Number of threads that make batches.", NOT_NEGATIVE),
            Key("input.batches_ahead", int, 3, "Number of batches prepared in advance.", NOT_NEGATIVE),
            Key(
                "evaluation.stage_bytes",
                int,
                4 * 2**30,
                "Evaluation batches stay on the devices as long as all splits fit into this many bytes.",
                NOT_NEGATIVE,
            ),
        ),
    ),
)
KEYS: Mapping[str, Key] = {key.name: key for group in GROUPS for key in group.keys}
"""Name -> key, in the order of `GROUPS`."""


def get_config() -> ConfigDict:
    """The defaults of all keys."""
    config = ConfigDict()
    for key in KEYS.values():
        parent = config
        *groups, name = key.name.split(".")
        for group in groups:
            if group not in parent:
                parent[group] = ConfigDict()
            parent = parent[group]
        if key.type is ConfigDict:
            parent[name] = ConfigDict()
        else:
            parent[name] = config_dict.placeholder(key.type) if key.default is None else key.default
    return config


def named(workload: str, variant: str) -> ConfigDict:
    """The defaults for a workload; `variant` follows the colon in `--config=configs/<workload>.py:<variant>`."""
    config = get_config()
    config.workload = f"{workload}_{variant}" if variant else workload
    return config
