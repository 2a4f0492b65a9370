"""Checks before the first trial that a submission can use the points of a study."""

from collections.abc import Sequence
from typing import Any

from algoperf_jax.assembly import hyperparameter_point, load_workload
from algoperf_jax.errors import ConfigError
from algoperf_jax.framework.framework import load_framework
from algoperf_jax.submission.imports import submission_imports
from algoperf_jax.submission.load import load_submission
from algoperf_jax.submission.locate import locate


def check_points(plan: Sequence[Any]) -> None:
    """Checks the hyperparameters of all trials, so that none is rejected after others have run for days.

    Args:
      plan: the configurations of the trials.

    Raises:
      ConfigError: the submission cannot use a point; the message names the point and the problem.
      SubmissionError: the submission cannot be loaded.
    """
    first = plan[0]
    located = locate(first.submission, first.framework)
    with submission_imports(located):
        load_framework(located.framework).start(first)  # a submission may use devices while it is imported
        submission = load_submission(located, load_workload(first))
    for config in plan:
        try:
            hyperparameter_point(submission, config.hyperparameters.to_dict(), config.ruleset)
        except ConfigError as error:
            if config.search_space is None:
                raise
            raise ConfigError(f"search space {config.search_space}, point {config.trial}: {error}") from error
