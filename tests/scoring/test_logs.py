"""Real logs are untidy: what is repaired, left out, listed and refused."""

import dataclasses
import pathlib

import pytest

import scoring
from scoring.log_tables import read_table
from scoring.reports import leaderboard_text
from scoring.summaries import trial_summaries
from scoring.targets import WorkloadTarget
from scoring.times import RULES, first_hits
from tests.scoring.log_trees import COLUMNS, FILE, targets, write_hit, write_text, write_trial

TRIAL = "s/study_0/alpha_jax/trial_1"
HEADER = ",".join(COLUMNS)


def load(root: pathlib.Path) -> scoring.Logs:
    return scoring.load(root, targets())


def findings(logs: scoring.Logs) -> list[tuple]:
    table = logs.findings.astype({"row": object})
    return [(kind, path, row, reason) for kind, path, row, reason in table.where(table.notna(), None).to_numpy()]


def test_trials_and_evaluations_as_tables(tmp_path: pathlib.Path) -> None:
    write_trial(tmp_path, TRIAL, [(1.0, 9.0), (20.0, 0.4)])
    write_trial(tmp_path, "s/study_1/alpha_jax/trial_3", [(2.0, 8.0), (3.0, 7.0), (4.0, 6.0)])
    logs = load(tmp_path)
    assert findings(logs) == []
    assert logs.trials[["submission", "study", "trial", "evaluations"]].to_numpy().tolist() == [
        ["s", "study_0", "trial_1", 2],
        ["s", "study_1", "trial_3", 3],
    ]
    assert logs.evaluations["trial_id"].tolist() == [0, 0, 1, 1, 1]
    assert logs.evaluations["submission_time_sec"].tolist() == [1.0, 20.0, 2.0, 3.0, 4.0]
    assert logs.evaluations["test"].isna().tolist() == [True] * 5


def test_rows_without_information_are_dropped_and_listed(tmp_path: pathlib.Path) -> None:
    rows = ["1,1.0,1.0,9.0", HEADER, "", "11,,2.0,0.1", "21,nan,2.0,0.1", "31,5.0,6.0,", "41,6.0,7.0,0.4"]
    write_text(tmp_path, TRIAL, "\n".join([HEADER, *rows]) + "\n")
    logs = load(tmp_path)
    file = f"{TRIAL}/{FILE}"
    assert findings(logs) == [
        ("repaired", file, 3, "repeated header dropped"),
        ("repaired", file, 4, "empty line dropped"),
        ("repaired", file, 5, "row without time or step dropped"),
        ("repaired", file, 6, "row without time or step dropped"),
        ("noted", file, 7, "validation/loss is blank: counts as not reached"),
    ]
    assert logs.evaluations[["row", "submission_time_sec"]].to_numpy().tolist() == [[0, 1.0], [3, 5.0], [4, 6.0]]


def test_columns_may_differ_between_trials(tmp_path: pathlib.Path) -> None:
    write_trial(tmp_path, TRIAL, [(1.0, 9.0), (20.0, 0.4)])
    other = "validation/loss,extra,global_step,accumulated_submission_time\n9.0,x,1,1.0\n0.4,x,11,10.0\n"
    write_text(tmp_path, "s/study_0/alpha_jax/trial_2", other)
    repeated = "global_step,score,score,validation/loss\n1,1.0,7.0,9.0\n11,15.0,7.0,0.4\n"
    write_text(tmp_path, "s/study_0/alpha_jax/trial_3", repeated)
    logs = load(tmp_path)
    assert first_hits(logs)["hit_time_sec"].tolist() == [20.0, 10.0, 15.0]
    assert [finding[3] for finding in findings(logs)] == [
        "no column 'score': 'accumulated_submission_time' is read",
        "column 'score' occurs twice: the first is read",
    ]


def test_what_is_not_a_trial_is_left_out_and_listed(tmp_path: pathlib.Path) -> None:
    write_hit(tmp_path, TRIAL, 20.0)
    write_text(tmp_path, "s/study_0/alpha_jax/trial_2", "")
    write_text(tmp_path, "s/study_0/alpha_jax/trial_3", HEADER + "\n")
    write_trial(tmp_path, "s/study_0/alpha_jax/trial_4", [(1.0, 9.0)])
    (tmp_path / "s/study_0/alpha_jax/trial_5").mkdir()
    write_hit(tmp_path, "s/study_0/alpha_jax/old_trial_1", 1.0)
    write_hit(tmp_path, "s/study_0/gamma_jax/trial_1", 1.0)
    write_hit(tmp_path, "s/study_0/alpha/trial_1", 1.0)
    (tmp_path / "s/study_1/alpha_jax").mkdir(parents=True)
    for name in ("notes.txt", "s/notes.txt", "s/study_0/alpha_jax_01-01-2025.log", "s/study_0/alpha_jax/alpha_jax.log"):
        (tmp_path / name).touch()
    folder = "s/study_0/alpha_jax"
    logs = load(tmp_path)
    assert sorted(findings(logs), key=str) == sorted(
        [
            ("left out", "notes.txt", None, "not a directory"),
            ("left out", "s/notes.txt", None, "not a directory"),
            ("left out", "s/study_0/alpha_jax_01-01-2025.log", None, "not a directory"),
            ("left out", "s/study_0/alpha", None, "not called <workload>_jax or <workload>_pytorch"),
            ("left out", "s/study_0/gamma_jax", None, "unknown workload: by hand has no target for it"),
            ("left out", "s/study_1/alpha_jax", None, "it contains no trial"),
            ("left out", f"{folder}/old_trial_1", None, "not called trial_<number>"),
            ("left out", f"{folder}/trial_2/{FILE}", None, "the file is empty"),
            ("left out", f"{folder}/trial_3/{FILE}", None, "no evaluation in the file"),
            ("noted", f"{folder}/trial_4/{FILE}", None, "only one evaluation"),
            ("left out", f"{folder}/trial_5", None, f"no {FILE}"),
        ],
        key=str,
    )
    assert logs.trials["trial"].tolist() == ["trial_1", "trial_4"]


def test_files_of_several_processes_are_one_trial(tmp_path: pathlib.Path) -> None:
    file = write_hit(tmp_path, TRIAL, 20.0)
    for name in ("meta_data_0.json", "flags_0.json"):
        (file.parent / name).write_text("{}")
    assert findings(load(tmp_path)) == []
    for name in ("meta_data_1.json", "flags_1.json"):
        (file.parent / name).write_text("{}")
    logs = load(tmp_path)
    assert len(logs.trials) == 1
    assert findings(logs) == [("noted", TRIAL, None, "interrupted and resumed: 2 meta_data files")]


def test_runs_on_built_in_data_are_never_mixed_with_real_ones(tmp_path: pathlib.Path) -> None:
    columns = "global_step,score,validation/accuracy\n1,1.0,0.1\n9,8.0,0.99\n"
    for workload in ("mnist_builtin", "mnist"):
        write_text(tmp_path, f"s/study_1/{workload}_jax/trial_1", columns)
    logs = scoring.load(tmp_path)
    assert logs.trials["workload"].tolist() == ["mnist"]
    assert [finding[1:] for finding in findings(logs)] == [
        ("s/study_1/mnist_builtin_jax", None, "built-in data (--builtin scores it)")
    ]
    builtin = scoring.load(tmp_path, builtin=True)
    assert builtin.trials["workload"].tolist() == ["mnist_builtin"]
    assert [finding[1] for finding in findings(builtin)] == ["s/study_1/mnist_jax"]
    assert scoring.score(builtin).leaderboard["score"].tolist() == [1.0]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["global_step,score", "1,1.0"], "row 1: no column 'validation/loss'; it has global_step, score"),
        (["global_step,validation/loss", "1,1.0"], "row 1: no column 'score'"),
        (["score,validation/loss", "1,1.0"], "row 1: no column 'global_step'"),
        ([HEADER, "1,1,1,1", "2,x,2,2", "3,3,3,3"], "row 3: score is 'x'; expected a number"),
        ([HEADER, "1,1,1,1", "2,2,2", "3,3,3,3"], "row 3: 3 cells; expected 4, as in the header"),
        ([HEADER, "1,1,1,1", "2,2\0,2,2", "3,3,3,3"], "row 3: it contains NUL bytes; restore the file"),
        ([HEADER, "1,-1,1,1", "2,2,2,2"], "row 2: submission time is -1; expected 0 or more"),
        ([HEADER, "1,1,1,1", "2,5,5,5", HEADER, "3,4,4,4"], "row 5: submission time goes backwards, from 5 to 4"),
        ([HEADER, "7,1,1,1", "6,2,2,2"], "row 3: global_step goes backwards, from 7 to 6"),
        ([HEADER, '1,"1,1,1', "2,2,2,2"], "cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_row(tmp_path: pathlib.Path, lines: list[str], words: str) -> None:
    file = write_text(tmp_path, TRIAL, "\n".join(lines) + "\n")
    with pytest.raises(scoring.ScoringError) as caught:
        load(tmp_path)
    message = str(caught.value)
    assert message.startswith(str(file))
    assert words in message
    assert "\n" not in message


INCOMPLETE = "incomplete last row dropped: "


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (b"11,5.0", "2 cells; expected 4, as in the header"),
        (b"11,5.0\n", "2 cells; expected 4, as in the header"),
        (b"11,5.0,6.0,0.4,7\n", "5 cells; expected 4, as in the header"),
        (b"11,5.0,6.0,0.4e-", "validation/loss is '0.4e-'; expected a number"),
        (b"11,5.0,6.0,0.4\0\0\0", "it contains NUL bytes"),
        (b"11,5.0\0\0\n\0\0\0", "it contains NUL bytes"),
        (b"\0\0\0\0" + b"11,5.0,6.0,0.4\n", "it contains NUL bytes"),
        (b"11,5.0\n \t\n\n", "2 cells; expected 4, as in the header"),
        (b'11,"5.0,6.0', "1 cells; expected 4, as in the header"),
        (b"11,5.0,6.0,\xe2\x82", "1 cells; expected 4, as in the header"),
        (HEADER[:-3].encode(), "global_step is 'global_step'; expected a number"),
    ],
)
def test_an_incomplete_last_row_is_dropped_and_listed(tmp_path: pathlib.Path, end: bytes, reason: str) -> None:
    file = write_text(tmp_path, TRIAL, "")
    file.write_bytes(f"{HEADER}\n1,1.0,2.0,9.0\n6,3.0,4.0,0.5\n".encode() + end)
    write_hit(tmp_path, "other/study_0/alpha_jax/trial_1", 4.0)
    logs = load(tmp_path)
    of_rows = [finding for finding in findings(logs) if "dropped: " in finding[3]]
    assert of_rows == [("repaired", f"{TRIAL}/{FILE}", 4, INCOMPLETE + reason)]
    assert scoring.score(logs).times["alpha"].to_dict() == {"other": 4.0, "s": 3.0}
    assert f"repaired: {INCOMPLETE}{reason} ({TRIAL}/{FILE})" in leaderboard_text(logs, scoring.score(logs))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", ("left out", None, "the file is empty")),
        (b"\n \n", ("left out", None, "the file is empty")),
        (b"\0" * 99, ("left out", None, "the file is empty")),
        (HEADER.encode(), ("left out", None, "no evaluation in the file")),
        (b"global_step,sco", ("left out", None, "no evaluation in the file")),
        (f"{HEADER}\n1,1.0".encode(), ("left out", None, "no evaluation in the file")),
        (f"{HEADER}\n1,1.0,1.0,9.0\n9,3.0,4.0,0.4".encode(), ("noted", 3, "no line end after the last row: kept,")),
        (f"{HEADER}\n1,1.0,1.0,9.0\n9,3.0,4.0,0.4\n\0\0".encode(), ("repaired", 4, "line of NUL bytes dropped")),
        (f"{HEADER}\n1,1.0,1.0,9.0\n \t\n9,3.0,4.0,0.4\n".encode(), ("repaired", 3, "empty line dropped")),
        (f"{HEADER}\n1,1.0,1.0,9.0\n\0\0\n9,3.0,4.0,0.4\n".encode(), ("repaired", 3, "line of NUL bytes dropped")),
    ],
)
def test_the_file_of_a_stopped_writer_does_not_stop_the_others(
    tmp_path: pathlib.Path, content: bytes, expected: tuple[str, int | None, str]
) -> None:
    write_text(tmp_path, TRIAL, "").write_bytes(content)
    write_hit(tmp_path, "other/study_0/alpha_jax/trial_1", 4.0)
    logs = load(tmp_path)
    times = scoring.score(logs).times["alpha"].to_dict()
    kind, row, reason = expected
    assert times == ({"other": 4.0} if kind == "left out" else {"other": 4.0, "s": 3.0})
    found = findings(logs)[-1]
    assert found[:3] == (kind, f"{TRIAL}/{FILE}", row)
    assert found[3].startswith(reason)


def test_a_table_is_read_at_every_length_that_it_grows_through(tmp_path: pathlib.Path) -> None:
    whole = f"{HEADER}\n1,1.0,2.0,9.0\n11,5.0,6.0,0.75\n21,9.0,9.5,0.4\n".encode()
    file = write_text(tmp_path, TRIAL, "")
    for length in range(len(whole) + 1):
        file.write_bytes(whole[:length])
        table, found = read_table(file, "loss", "file")
        read = 0 if table is None else len(table.row)
        ended = max(whole[:length].count(b"\n") - 1, 0)
        not_ended = any(finding.reason.startswith("no line end") for finding in found)
        assert read == ended + not_ended


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity", "nan", "NaN", "", "1e999", "-1e999"])
@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_a_metric_that_is_not_finite_reaches_no_target_and_is_listed(
    tmp_path: pathlib.Path, metric: str, value: str
) -> None:
    judged_by = targets()
    goal = WorkloadTarget(metric, "max" if metric == "accuracy" else "min", 0.5)
    judged_by = dataclasses.replace(judged_by, workloads={"alpha": goal})
    rows = f"1,1.0,{value},{value}\n11,9.0,0.5,0.5\n"
    write_text(tmp_path, TRIAL, f"global_step,score,test/{metric},validation/{metric}\n{rows}")
    logs = scoring.load(tmp_path, judged_by)
    for rule in RULES:
        scores = scoring.score(logs, rule=rule)
        assert scores.times.loc["s", "alpha"] == 9.0
        assert trial_summaries(logs, rule=rule)["best_validation"].tolist() == [0.5]
    shown = "blank" if value.lower() in ("nan", "") else "-inf" if value.startswith("-") else "inf"
    assert findings(logs) == [
        ("noted", f"{TRIAL}/{FILE}", 2, f"validation/{metric} is {shown}: counts as not reached"),
        ("noted", f"{TRIAL}/{FILE}", 2, f"test/{metric} is {shown}: treated as unknown"),
    ]


def test_a_duration_that_is_infinite_is_unknown(tmp_path: pathlib.Path) -> None:
    write_text(tmp_path, TRIAL, f"{HEADER}\n1,1.0,inf,9.0\n9,inf,4.0,0.1\n11,5.0,6.0,0.4\n")
    logs = load(tmp_path)
    assert logs.evaluations["total_duration_sec"].isna().tolist() == [True, False]
    assert [finding[2:] for finding in findings(logs)] == [
        (2, "total_duration is inf: treated as unknown"),
        (3, "row without time or step dropped"),
    ]


def test_bytes_that_are_not_text_are_refused(tmp_path: pathlib.Path) -> None:
    file = write_text(tmp_path, TRIAL, "")
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(scoring.ScoringError, match="cannot be read as CSV"):
        read_table(file, "loss", str(file))


def test_a_second_framework_is_refused(tmp_path: pathlib.Path) -> None:
    write_hit(tmp_path, TRIAL, 20.0)
    write_hit(tmp_path, "s/study_1/alpha_pytorch/trial_1", 20.0)
    with pytest.raises(scoring.ScoringError, match="alpha in a second framework"):
        load(tmp_path)


def test_no_logs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(scoring.ScoringError, match="is not a directory"):
        load(tmp_path / "nowhere")
    with pytest.raises(scoring.ScoringError, match=r"no logs found in .*expected <submission>/<study>"):
        load(tmp_path)
    write_hit(tmp_path, "s/study_0/gamma_jax/trial_1", 1.0)
    with pytest.raises(scoring.ScoringError, match="left out: unknown workload: by hand has no target for it"):
        load(tmp_path)


def test_an_unknown_ruleset_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(scoring.ScoringError, match="unknown ruleset 'both'"):
        scoring.load(tmp_path, targets(), ruleset="both")
