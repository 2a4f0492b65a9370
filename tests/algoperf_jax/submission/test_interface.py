"""The five functions, called by real runs of real files."""

import json
import pathlib
from collections.abc import Callable
from typing import Any

from tests.algoperf_jax.conftest import Command

Write = Callable[..., pathlib.Path]


def test_batch_is_the_result_of_data_selection(command: Command, submission: Write, tmp_path: pathlib.Path) -> None:
    path = submission(
        "def data_selection(workload, input_queue, *rest): return input_queue",
        "def update_params(workload, batch, optimizer_state, current_param_container, model_state, **rest):",
        "    drawn = [next(batch) for _ in range(2)]",
        "    assert drawn[0]['inputs'].shape == (32, 4) and drawn[0]['weights'].sum() == 32",
        "    assert (drawn[0]['inputs'] != drawn[1]['inputs']).any()",
        "    return {'calls': optimizer_state['calls'] + len(drawn)}, current_param_container, model_state",
        "def prepare_for_eval(optimizer_state, current_param_container, model_state, **rest):",
        f"    __import__('pathlib').Path({str(tmp_path / 'drawn')!r}).write_text(str(optimizer_state['calls']))",
        "    return optimizer_state, current_param_container, model_state",
    )
    assert command(f"--config.submission={path}").code == 0
    assert (tmp_path / "drawn").read_text() == "6"


def test_prepared_parameters_take_the_place_of_the_state(command: Command, submission: Write, trial: Any) -> None:
    path = submission(
        "import jax",
        "def prepare_for_eval(current_param_container, model_state, global_step, eval_results, **rest):",
        "    assert (global_step, len(eval_results)) == (3, 0)",
        "    return {'calls': 0}, jax.tree.map(lambda leaf: 0 * leaf, current_param_container), model_state",
    )
    assert command(f"--config.submission={path}").code == 0
    # With all parameters zero, all classes are equally likely.
    (evaluation,) = evaluations(trial("algorithm"))
    assert abs(evaluation["values"]["validation/loss"] - 1.0986123) < 1e-5


def test_training_complete_error_ends_the_run_with_an_evaluation(
    command: Command, submission: Write, trial: Any
) -> None:
    path = submission(
        "from algoperf_jax.submission import TrainingCompleteError",
        "previous = update_params",
        "def update_params(*, global_step, **arguments):",
        "    if global_step == 4: raise TrainingCompleteError",
        "    return previous(global_step=global_step, **arguments)",
    )
    finished = command(f"--config.submission={path}", "--config.max_steps=100")
    assert finished.code == 0
    assert json.loads((trial("algorithm") / "result.json").read_text())["status"] == "training_complete"
    assert [evaluation["step"] for evaluation in evaluations(trial("algorithm"))] == [5]


def test_hyperparameters_and_train_state_arrive(command: Command, submission: Write) -> None:
    path = submission(
        "def init_optimizer_state(workload, params, model_state, hyperparameters, rng):",
        "    assert (hyperparameters.rate, hyperparameters.name) == (0.5, 'x')",
        "    assert rng.shape == (2,) and str(rng.dtype) == 'uint32'",
        "    return {'calls': 0}",
        "previous = update_params",
        "def update_params(*, train_state, hyperparameters, **arguments):",
        "    assert hyperparameters.rate == 0.5",
        "    assert train_state['accumulated_submission_time'] >= 0 and train_state['is_time_remaining']",
        "    return previous(hyperparameters=hyperparameters, **arguments)",
    )
    given = ["--config.hyperparameters.rate=0.5", "--config.hyperparameters.name=x"]
    assert command(f"--config.submission={path}", *given).code == 0


def test_self_tuning_submission_gets_no_hyperparameters_and_more_time(
    command: Command, submission: Write, trial: Any
) -> None:
    path = submission(
        "def init_optimizer_state(workload, params, model_state, hyperparameters, rng):",
        "    assert hyperparameters is None",
        "    return {'calls': 0}",
    )
    assert command(f"--config.submission={path}", "--config.ruleset=self").code == 0
    assert json.loads((trial("algorithm") / "result.json").read_text())["budget_sec"] == 1500


def evaluations(folder: pathlib.Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return [record for record in records if record["kind"] == "evaluation"]
