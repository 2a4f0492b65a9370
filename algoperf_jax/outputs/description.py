"""Writes the files that describe a trial in its log."""

from collections.abc import Mapping
from typing import Any

from clu import parameter_overview

from algoperf_jax.outputs.run_directory import RunDirectory, disk_error, write_json, write_text
from algoperf_jax.submission.interface import Source
from algoperf_jax.workload import Parameters


def describe(
    directory: RunDirectory,
    *,
    config: Mapping[str, Any],
    meta_data: Mapping[str, Any],
    params: Parameters,
    source: Source,
    rule_report: Mapping[str, Any],
    preemption_count: int,
) -> None:
    """Writes configuration, machine, model, the submission's code, and the rule check of its source.

    Args:
      directory: the trial's directory, claimed.
      config: the complete configuration.
      meta_data: see `environment.meta_data`.
      params: tree of arrays, abstract or not.
      source: the submission's files.
      rule_report: the result of checking the source against the rules.
      preemption_count: number of earlier processes that worked on this trial; part of two files' names.

    Raises:
      RunError: the disk cannot be written.
    """
    folder = directory.path
    try:
        write_json(folder / f"meta_data_{preemption_count}.json", meta_data)
        write_json(folder / f"flags_{preemption_count}.json", config)
        if config["ruleset"] == "external":
            write_json(folder / "hparams.json", config["hyperparameters"])
        overview = parameter_overview.get_parameter_overview(params, include_stats=False)
        write_text(folder / "parameters.txt", overview + "\n")
        for name, content in source.files.items():
            path = directory.source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        write_json(directory.rule_report, rule_report)
    except OSError as error:
        raise disk_error(folder, error) from error
