"""The AlgoPerf training-algorithms benchmark, JAX-native.

`python -m algoperf_jax.main --config=configs/ogbg.py` runs a trial from the command line, `run_trial` from Python. This
module imports nothing heavy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from algoperf_jax.outputs.result import TrialResult

__all__ = ["__version__", "run_trial"]
__version__ = "0.1.0"


def run_trial(workload: str, submission: str, *, console: "Console | None" = None, **overrides: Any) -> "TrialResult":
    """Runs a timed trial of a submission on a workload, as `python -m algoperf_jax.main` does.

    >>> result = run_trial("mnist", "nadamw", max_steps=100, hyperparameters={"learning_rate": 1e-3})
    >>> result.status, result.steps
    ('training_complete', 100)

    Like the command, it resumes an interrupted trial and returns the stored result of a finished one: set
    `overwrite=True` to run it again.

    Args:
      workload: registry name, such as `ogbg` or `imagenet_vit_small`.
      submission: name of a ready-made algorithm, or path of a file.
      console: where progress and the summary are written; the terminal by default.
      **overrides: keys of the configuration (`python -m algoperf_jax.main --help` lists them). A group of keys is a
        dict: `mesh={"data": 1}`.

    Returns:
      How the trial ended. A failure of the submission is a result too, not an exception.

    Raises:
      UserError: the caller can fix the cause; the message is one line.
    """
    from rich.console import Console

    import workloads
    from algoperf_jax import configuration
    from algoperf_jax.run import execute

    values = {"workload": workload, "submission": submission, **overrides}
    config = configuration.from_values(workloads.base_name(workload), values)
    return execute(config, console or Console())
