"""The files of a trial's log, which public scoring tools can read."""

import csv
import json
import pathlib
import struct
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from tensorboardX.proto.event_pb2 import Event as Record  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.proto.event_pb2 import SessionLog  # pyright: ignore[reportAttributeAccessIssue]

from algoperf_jax.errors import SubmissionError
from algoperf_jax.outputs.event_log import CsvTable, EventLog
from algoperf_jax.outputs.scalar_log import ScalarLog
from algoperf_jax.outputs.tensorboard import TensorBoardLog
from algoperf_jax.trial.clock import Bucket
from algoperf_jax.trial.events import Event, EventKind
from algoperf_jax.trial.run_state import Evaluation
from tests.algoperf_jax.conftest import Command

MNIST = pathlib.Path(__file__).parents[3] / "configs/mnist.py"
SECONDS: dict[str, float] = dict.fromkeys(Bucket, 0.5)


def event(kind: EventKind, step: int, **values: Any) -> Event:
    return Event(kind, step, SECONDS, values)


def table(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def records(folder: pathlib.Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_columns_of_the_first_row_are_sorted_and_later_ones_appended(tmp_path: pathlib.Path) -> None:
    measurements = CsvTable(tmp_path / "table.csv")
    measurements.append({"b": 1, "a": 2})
    measurements.append({"z": 3, "c": 4, "a": 5})
    measurements.append({"b": 6})
    assert (tmp_path / "table.csv").read_text() == "a,b,z,c\n2,1,,\n5,,3,4\n,6,,\n"


def test_values_survive_quoting_and_full_precision(tmp_path: pathlib.Path) -> None:
    values = {"text": 'a,"b"\nc', "number": 0.1 + 0.2, "nan": float("nan")}
    CsvTable(tmp_path / "table.csv").append(values)
    (row,) = table(tmp_path / "table.csv")
    assert row["text"] == values["text"]
    assert float(row["number"]) == values["number"]
    assert np.isnan(float(row["nan"]))


def test_a_new_column_that_cannot_be_written_leaves_the_table_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurements = CsvTable(tmp_path / "table.csv")
    measurements.append({"a": 1})

    def refuse(self: pathlib.Path, target: pathlib.Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        measurements.append({"b": 2})
    assert (tmp_path / "table.csv").read_text() == "a\n1\n"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_rows_of_events(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path)
    for logged in (
        event("start", 0, workload="tiny"),
        event("train", 0, loss=1.5),
        event("evaluation", 4, **{"validation/loss": 1.0, "preemption_count": 2}),
        event("end", 5, status="training_complete", preemption_count=2),
    ):
        log(logged)
    assert table(tmp_path / "measurements.csv") == [
        {"global_step": "0", "loss": "1.5", "validation/loss": "", "preemption_count": "", "score": ""},
        {"global_step": "4", "loss": "", "validation/loss": "1.0", "preemption_count": "2", "score": ""},
        {"global_step": "5", "loss": "", "validation/loss": "", "preemption_count": "2", "score": "0.5"},
    ]
    assert table(tmp_path / "eval_measurements.csv") == [
        {"global_step": "4", "preemption_count": "2", "validation/loss": "1.0"}
    ]
    assert [record["kind"] for record in records(tmp_path)] == ["start", "train", "evaluation", "end"]
    assert records(tmp_path)[0]["seconds"] == SECONDS


# --- going back ------------------------------------------------------------------------------------------------------


def test_rewinding_drops_what_came_after_the_checkpoint(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path)
    for step in range(1, 5):
        log(event("train", step, loss=step))
        log(event("evaluation", step, **{"validation/loss": step, f"only_{step}": 0, "preemption_count": 0}))
        if step == 2:
            at_checkpoint = len(records(tmp_path))
            before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with (tmp_path / "events.jsonl").open("a") as file:
        file.write('{"kind": "eval')  # the process was killed while it wrote

    again = EventLog(tmp_path, keep=at_checkpoint)
    assert [(found.kind, found.step) for found in again.kept] == [
        ("train", 1),
        ("evaluation", 1),
        ("train", 2),
        ("evaluation", 2),
    ]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before
    again(event("evaluation", 3, **{"validation/loss": 3, "preemption_count": 1}))
    assert len(records(tmp_path)) == at_checkpoint + 1
    # Earlier rows keep the number of the process that wrote them.
    assert [row["preemption_count"] for row in table(tmp_path / "eval_measurements.csv")] == ["0", "0", "1"]


def test_rewinding_to_the_beginning(tmp_path: pathlib.Path) -> None:
    log = EventLog(tmp_path)
    log(event("train", 0, loss=1.0))
    assert EventLog(tmp_path).kept == ()
    assert {path.name: path.stat().st_size for path in tmp_path.iterdir()} == {"events.jsonl": 0}


# --- damage ----------------------------------------------------------------------------------------------------------

HISTORY = tuple(Evaluation(step, {"validation/loss": 1.0 / step}) for step in (2, 4, 6))


def begun(folder: pathlib.Path) -> EventLog:
    """A log of a start, six steps, and an evaluation after every second one: ten events."""
    log = EventLog(folder)
    log(event("start", 0))
    for step in range(6):
        log(event("train", step, loss=1.0))
        for evaluation in HISTORY:
            if evaluation.step == step + 1:
                log(event("evaluation", step + 1, **evaluation.results))
    return log


def losses(folder: pathlib.Path) -> list[tuple[str, str]]:
    return [(row["global_step"], row["validation/loss"]) for row in table(folder / "eval_measurements.csv")]


def numbers(folder: pathlib.Path) -> list[tuple[int, str]]:
    return [(record["number"], record["kind"]) for record in records(folder)]


def damage(path: pathlib.Path, how: str) -> None:
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    if how == "deleted":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(b"".join(lines[:4]) + lines[4][:9])
    elif how == "zeros at the end":
        path.write_bytes(b"".join(lines[:8]) + bytes(4096))
    elif how == "zeros in the middle":
        path.write_bytes(b"".join(lines[:3]) + bytes(100) + b"".join(lines[6:]))
    elif how == "no text":
        path.write_bytes(b"".join([*lines[:2], b"\xff\xfe\n", *lines[3:]]))
    elif how == "no events":
        path.write_bytes(b"".join([lines[0], b"null\n", b"[1]\n", b'{"kind": "odd"}\n', *lines[4:]]))
    else:
        path.write_bytes(b"".join([*lines[5:]]))  # deleted while the trial ran


@pytest.mark.parametrize(
    ("how", "lost"),
    [
        ("deleted", 7),
        ("empty", 7),
        ("cut", 4),
        ("zeros at the end", 1),
        ("zeros in the middle", 2),
        ("no text", 1),
        ("no events", 2),
        ("deleted meanwhile", 4),
    ],
)
def test_a_damaged_log_loses_its_content_but_no_evaluation(how: str, lost: int, tmp_path: pathlib.Path) -> None:
    log = begun(tmp_path)
    log(event("train", 6, loss=9.0))  # after the checkpoint
    damage(tmp_path / "events.jsonl", how)
    said: list[str] = []
    again = EventLog(tmp_path, keep=10, history=HISTORY, report=said.append)
    (line,) = said
    assert f"events.jsonl is damaged: {lost} of 10 events are lost" in line
    assert losses(tmp_path) == [("2", "0.5"), ("4", "0.25"), ("6", f"{1 / 6}")]
    kinds = [kind for _, kind in numbers(tmp_path)]
    assert kinds.count("evaluation") == 3
    assert sum(record["values"]["events"] for record in records(tmp_path) if record["kind"] == "lost") == lost
    assert not any(record["values"].get("loss") == 9.0 for record in records(tmp_path))
    steps = [found.step for found in again.kept if found.kind != "lost"]
    assert steps == sorted(steps)
    # Reported once: the log records its gaps. New events continue the numbering.
    again(event("resume", 6))
    assert numbers(tmp_path)[-1] == (10, "resume")
    before = records(tmp_path)
    EventLog(tmp_path, keep=11, history=HISTORY, report=said.append)
    assert (len(said), records(tmp_path)) == (1, before)


def test_a_damaged_end_after_the_checkpoint_costs_nothing(tmp_path: pathlib.Path) -> None:
    begun(tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    with (tmp_path / "events.jsonl").open("ab") as file:
        file.write(b'{"number": 10, "ki' + bytes(512))
    said: list[str] = []
    EventLog(tmp_path, keep=10, history=HISTORY, report=said.append)
    assert said == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before


def test_lines_without_numbers_are_counted(tmp_path: pathlib.Path) -> None:
    """Events as written by earlier revisions."""
    begun(tmp_path)
    old = [{key: value for key, value in record.items() if key != "number"} for record in records(tmp_path)]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(record) + "\n" for record in old))
    said: list[str] = []
    assert len(EventLog(tmp_path, keep=8, history=HISTORY[:2], report=said.append).kept) == 8
    assert said == []


def test_the_log_of_a_trial_without_checkpoints_is_renamed(tmp_path: pathlib.Path) -> None:
    begun(tmp_path)
    content = (tmp_path / "events.jsonl").read_text()
    said: list[str] = []
    assert EventLog(tmp_path, report=said.append).kept == ()
    assert "no checkpoint to resume from" in said[0]
    assert (tmp_path / "events_before_0.jsonl").read_text() == content
    assert {path.name: path.stat().st_size for path in tmp_path.glob("*.*s*")}["events.jsonl"] == 0


def test_deleted_tables_are_written_again(tmp_path: pathlib.Path) -> None:
    log = begun(tmp_path)
    for name in ("measurements.csv", "eval_measurements.csv"):
        (tmp_path / name).unlink()
    log(event("evaluation", 7, **{"validation/loss": 0.1}))
    assert [step for step, _ in losses(tmp_path)] == ["2", "4", "6", "7"]
    assert len(table(tmp_path / "measurements.csv")) == 10


# --- TensorBoard -----------------------------------------------------------------------------------------------------


def tensorboard_records(path: pathlib.Path) -> list[Any]:
    """The format is: length, its checksum, content, its checksum."""
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack_from("<Q", content)
        found.append(Record.FromString(content[12 : 12 + length]))
        content = content[12 + length + 4 :]
    return found


def test_tensorboard_scalars(tmp_path: pathlib.Path) -> None:
    log = TensorBoardLog(tmp_path)
    log(event("start", 0, workload="tiny"))
    log(event("train", 0, loss=1.5))
    log(event("evaluation", 4, **{"validation/loss": 1.0, "validation/odd": float("nan")}))
    log.close()
    (path,) = (tmp_path / "tensorboard").iterdir()
    first, *rest = tensorboard_records(path)
    assert first.file_version == "brain.Event:2"
    scalars = [(record.step, value.tag, value.simple_value) for record in rest for value in record.summary.value]
    assert scalars == [(0, "loss", 1.5), (4, "validation/loss", 1.0)]


def test_tensorboard_hides_steps_that_happen_again(tmp_path: pathlib.Path) -> None:
    for count, step in ((0, 7), (1, 5)):
        log = TensorBoardLog(tmp_path, preemption_count=count)
        log(event("train", step, loss=1.0))
        log.close()
    first, second = sorted((tmp_path / "tensorboard").iterdir(), key=lambda path: path.suffix)
    assert not any(record.HasField("session_log") for record in tensorboard_records(first))
    starts = [record for record in tensorboard_records(second) if record.HasField("session_log")]
    assert [(record.step, record.session_log.status) for record in starts] == [(5, SessionLog.START)]


# --- what submissions log --------------------------------------------------------------------------------------------


class Unready:
    """A stub of a result that the devices have not computed yet."""


def test_scalars_are_emitted_in_order_as_numbers() -> None:
    log = ScalarLog()
    log.append_scalar_metrics({"loss": jnp.float32(1.5), "count": 2, "numpy": np.float64(0.25)}, 0)
    log.append_scalar_metrics({"loss": 2}, np.int64(1))  # pyright: ignore[reportArgumentType] -- as good as an int
    events = list(log.take())
    assert list(log.take()) == []
    assert events == [
        Event("train", 0, {}, {"loss": 1.5, "count": 2.0, "numpy": 0.25}),
        Event("train", 1, {}, {"loss": 2.0}),
    ]
    assert all(type(value) is float for logged in events for value in logged.values.values())


def test_scalars_that_are_donated_meanwhile_are_left_out() -> None:
    log = ScalarLog()
    donated = jnp.float32(1.5)
    log.append_scalar_metrics({"loss": donated, "other": 1}, 0)
    donated.delete()
    assert list(log.take(only_ready=True)) == [Event("train", 0, {}, {"other": 1.0})]


@pytest.mark.parametrize("value", ["1.5", None, [1.0], np.ones(1), jnp.ones(2), object()])
def test_only_scalars_are_logged(value: Any) -> None:
    with pytest.raises(SubmissionError, match="append_scalar_metrics: loss"):
        ScalarLog().append_scalar_metrics({"loss": value}, 0)


# --- a whole run -----------------------------------------------------------------------------------------------------


def test_files_of_a_run_of_mnist(command: Command, mnist_data: pathlib.Path, tmp_path: pathlib.Path) -> None:
    arguments = [f"--config.data_dir={mnist_data}", "--config.batch_size=32"]
    assert command(*arguments, "--config.eval_period_sec=1e-9", "--config.max_steps=2", config=MNIST).code == 0
    folder = tmp_path / "default/nadamw/study_1/mnist_jax/trial_1"
    header = (folder / "eval_measurements.csv").read_text().splitlines()[0]
    assert header == (
        "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,preemption_count,score,"
        "test/accuracy,test/loss,test/num_examples,total_duration,train/accuracy,train/loss,validation/accuracy,"
        "validation/loss,validation/num_examples"
    )
    rows = table(folder / "eval_measurements.csv")
    assert [row["global_step"] for row in rows] == ["1", "2"]
    for row in rows:
        assert row["score"] == row["accumulated_submission_time"]
        assert 0 < float(row["score"]) < float(row["total_duration"])
    assert float(rows[0]["accumulated_logging_time"]) == 0.0
    assert float(rows[1]["accumulated_logging_time"]) > 0.0

    train, *_, last = table(folder / "measurements.csv")
    assert (train["global_step"], train["validation/loss"], train["preemption_count"]) == ("0", "", "")
    assert float(train["loss"]) > 0
    assert (last["global_step"], last["preemption_count"]) == ("2", "0")
    assert float(last["score"]) >= float(rows[1]["score"])

    hyperparameters = json.loads((folder / "hparams.json").read_text())
    assert set(hyperparameters) == {"learning_rate", "weight_decay", "warmup_factor"}
    assert hyperparameters == json.loads((folder / "config.json").read_text())["hyperparameters"]
    flags = json.loads((folder / "flags_0.json").read_text())
    assert flags == json.loads((folder / "config.json").read_text())
    meta_data = json.loads((folder / "meta_data_0.json").read_text())
    assert meta_data["workload.validation_target_value"] > 0.9
    assert meta_data["workload.data_origin"] == "prepared"
    assert meta_data["rng_seed"] == 0
    assert {"mem.total", "cpu_model_name", "gpu_count", "os_platform", "versions"} <= set(meta_data)
    assert (folder / "submission" / "nadamw.py").read_text().startswith('"""NadamW')
    assert {path.name for path in folder.iterdir()} >= {"learning_curve.png", "tensorboard", "result.json"}


def test_no_tensorboard_where_it_is_not_wanted(command: Command, trial: Any) -> None:
    assert command("--config.tensorboard=False").code == 0
    assert not (trial("nadamw") / "tensorboard").exists()


def test_self_tuning_run_has_no_hyperparameter_file(command: Command, submission: Any, trial: Any) -> None:
    assert command(f"--config.submission={submission()}", "--config.ruleset=self").code == 0
    assert not (trial("algorithm") / "hparams.json").exists()
