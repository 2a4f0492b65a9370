"""How every command and snippet of the documents is tested: `python -m tests.document_coverage` lists them all.

A command of the project that a page shows in a block is run by the walk of that page (`tests/test_guides.py`), changed
by `SHORTENED` so that it takes moments. Any other command is in one of two tables here, with the test that runs the
same or the reason why none does. A command that is in neither is an error, and so is a row that no document needs.
Lines with `...` or `KEY` are patterns of commands, and not counted.
"""

import argparse
import dataclasses
import pathlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from algoperf_jax.__main__ import COMMANDS
from tests import document_commands
from tests.test_documents import DOCUMENTS, ROOT

WALKS = ROOT / "tests/test_guides.py"
SHORTENED: Mapping[str, tuple[str, ...]] = {
    "algoperf_jax.main": (
        "--config.max_steps=2",
        "--config.mesh.data=1",
        "--config.tensorboard=False",
        "--config.input.workers=0",
    ),
    "algoperf_jax.bench": ("--steps=2", "--config.mesh.data=1", "--config.input.workers=0"),
    "algoperf_jax.check_submission": ("--workloads=mnist",),
    "algoperf_jax.dry_run": ("--workloads=mnist",),
    "algoperf_jax.prepare": ("--from=raw",),
    "scoring.benchmark": ("--repeats=1", "--resamples=3"),
    "scoring.coverage": ("--quick", "--experiments=1"),
    "tests.workloads.criteo1tb.step_benchmark": (
        "--size=small",
        "--vocab_size=64",
        "--batch_size=8",
        "--repetitions=1",
    ),
    "tests.workloads.librispeech_deepspeech.lstm_benchmark": ("--rounds=1", "--width=4"),
    "workloads.criteo1tb.evaluation_benchmark": ("--size=small", "--rows=900", "--batch-size=512"),
    "workloads.criteo1tb.parsing_benchmark": ("--lines=500", "--repetitions=1"),
    "workloads.criteo1tb.reading_benchmark": ("--count=9000", "--rows-per-file=5000", "--batch-size=512"),
    "workloads.finewebedu_lm.data_benchmark": ("--tokens=20000", "--batch_sizes=2"),
    "workloads.imagenet.benchmark": ("--count=2",),
    "workloads.speech.data_benchmark": ("--batch_sizes=8",),
    "workloads.speech.metrics_benchmark": ("--batch=2", "--frames=20", "--labels=5", "--repetitions=1"),
    "workloads.wmt.packing_benchmark": ("--pairs=5000", "--steps=3"),
    "workloads.wmt.translation_benchmark": ("--size=small", "--count=4", "--batch_size=2"),
}
"""Module -> the arguments that a walk sets. Models are narrow too, see `tests/narrow_workloads.py`."""

_INSTALLS = (
    "downloads packages; a test compares the extras with pyproject.toml, and test_installed.py trains from a wheel"
)
_DOCKER = "needs Docker and the network; a test parses the arguments after the image's name, and reads the Dockerfile"
_CHECKS = "a part of `make test`, which runs this test"
_ENVIRONMENT = "tests/test_document_coverage.py::test_an_environment_is_made_and_activated"
_STYLE = "tests/test_document_coverage.py::test_the_commands_for_style_change_a_file"
_NEW_WORKLOAD = "tests/test_new_workload.py::test_the_guide_adds_a_workload_to_the_project"
_PREPARED = "tests/test_guides.py::test_from_raw_data_to_the_leaderboard"
_WRITTEN = "tests/test_examples.py::test_what_is_not_up_to_date_is_named_and_written"
_MEMORY = "tests/test_memory_of_large_tables.py::test_at_most_two_further_copies_exist_at_a_time"
_SEVERAL_HOSTS = (
    "python -m algoperf_jax.main --config=configs/ogbg.py --config.experiment_dir=/mnt/experiments "
    "--config.distributed.coordinator_address=host0:12355 --config.distributed.num_processes=2 "
    "--config.distributed.process_id=0"
)
_TORCHRUN = "torchrun --nproc_per_node=2 -m algoperf_jax.main --config=configs/mnist.py --config.framework=pytorch"

ELSEWHERE: Mapping[str, str] = {
    "python3 -m venv .venv": _ENVIRONMENT,
    ". .venv/bin/activate": _ENVIRONMENT,
    "ruff format": _STYLE,
    "ruff check --fix": _STYLE,
    "python examples/spirals.py": "tests/test_examples.py::test_the_workload_trains",
    "python -m docs.generate --check": "tests/test_examples.py::test_what_is_generated_is_up_to_date",
    "python -m docs.generate --write": _WRITTEN,
    "python -m docs.generate.leaderboard_2026 --logs=DIR --write": (
        "tests/scoring/test_leaderboard_page.py::test_the_command_writes_page_and_figures"
    ),
    "python -m docs.generate.pictures": "tests/test_pictures.py::test_the_pictures_come_from_runs",
    "python -m mkdocs build --strict": "tests/test_site.py::test_every_page_is_there",
    "python -m algoperf_jax.prepare WORKLOAD --data_dir=DIR": _PREPARED,
    "python -m tests.affected --steps=2": "tests/test_affected.py::test_the_command_lists_tests",
    "python -m tests.memory_of_large_tables --mebibytes=512": _MEMORY,
    "python -m tests.golden_listings FILE": "tests/test_golden_listings.py::test_files_are_converted_and_printed",
    "python -m tests.test_programs NAME": _NEW_WORKLOAD,
    "python -m workloads.tables --check": _NEW_WORKLOAD,
    "python -m workloads.tables --write": _NEW_WORKLOAD,
    "python -m pytest tests/workloads/test_contract.py tests/workloads/test_golden_models.py -k mnist": _NEW_WORKLOAD,
    _SEVERAL_HOSTS: "tests/algoperf_jax/devices/test_sharding.py::test_two_processes_agree_with_one",
    _TORCHRUN: "tests/torch_compat/test_processes.py::test_two_processes_train_as_one",
}
"""Command -> the test that runs it, or calls what it calls."""

EXEMPT: Mapping[str, str] = {
    "make install": _INSTALLS,
    "make install PYTHON=python3.12": _INSTALLS,
    "pip install -e .": _INSTALLS,
    "pip install -e .[cuda13]": _INSTALLS,
    "pip install -e .[torch,cuda13]": _INSTALLS,
    "pip install -e .[tpu]": _INSTALLS,
    "pip install -e .[torch]": _INSTALLS,
    "pip install -e .[dev]": _INSTALLS,
    "pip install -e .[prepare]": _INSTALLS,
    "pip install -q -e .[cuda12]": _INSTALLS,
    "apt install python3-venv make": "changes the machine",
    "apt install chromium": "changes the machine",
    "docker build -t algoperf-jax -f docker/Dockerfile .": _DOCKER,
    "docker build -t algoperf-jax-gpu -f docker/Dockerfile --build-arg EXTRA=cuda13 .": _DOCKER,
    "docker run --rm -v $PWD/experiments:/algoperf-jax/experiments algoperf-jax --config=configs/mnist.py": _DOCKER,
    "docker run --rm --gpus all -v $PWD/experiments:/algoperf-jax/experiments algoperf-jax-gpu": _DOCKER,
    "pre-commit install": "changes the hooks of the repository; pre-commit is not installed with the tests",
    "mkdocs serve": "serves the site until it is stopped; test_site.py builds the same site",
    "ruff check": _CHECKS,
    "ruff format --check": _CHECKS,
    "pyright": _CHECKS,
    "pytest --cache-clear": "deletes what tests that run at the same time are using",
    "findings/jax_fold_in_is_split.sh": "downloads packages; test_findings.py holds the scripts to their form",
}
"""Command -> why no test runs it."""


@dataclasses.dataclass(frozen=True)
class Coverage:
    """How a command or a snippet is tested; `by` is a test, the changes that were made, or a reason."""

    kind: Literal["run", "run elsewhere", "asked for help", "not run"]
    by: str


def normal(line: str) -> str:
    """A command as `python -m MODULE` where it is one, without comments, quotes, variables and the program's folder."""
    words = document_commands.words(line)
    program, *rest = [words[0].removeprefix(".venv/bin/"), *words[1:]]
    if program == "algoperf" and rest and rest[0] in COMMANDS:
        program, rest = "python", ["-m", COMMANDS[rest[0]][0], *rest[1:]]
    return " ".join([program, *rest])


def is_walked(line: str) -> bool:
    """Whether the walk of a page runs this command."""
    if normal(line) in (*ELSEWHERE, *EXEMPT) or _is_pytest(line):
        return False
    return document_commands.command(line) is not None or _is_expression(line)


def walked_documents() -> list[str]:
    """The pages that a test walks."""
    return re.findall(r'\bwalk\(\s*"([^"]+)"', WALKS.read_text())


def commands(document: pathlib.Path) -> Iterator[tuple[str, bool]]:
    """The commands of a page, and whether each is in a block; a target of `make` is what it runs."""
    in_blocks = document_commands.shown(document, inline=False)
    for line in document_commands.shown(document):
        for command in document_commands.expanded(line) if normal(line) not in EXEMPT else [line]:
            yield command, line in in_blocks


def walked() -> set[str]:
    """The commands that walks run."""
    pages = (ROOT / page for page in walked_documents())
    return {normal(line) for page in pages for line, in_block in commands(page) if in_block and is_walked(line)}


def coverage(line: str, of_walks: set[str]) -> Coverage | None:
    """How a command is tested; None if it is not."""
    name = normal(line)
    if name in EXEMPT:
        return Coverage("not run", EXEMPT[name])
    if name in ELSEWHERE:
        return Coverage("run elsewhere", ELSEWHERE[name])
    if _is_pytest(line):
        return Coverage("run elsewhere", "some of the tests that `make test` runs")
    if name in of_walks:
        command = document_commands.command(line)
        changes = SHORTENED.get(command.module, ()) if command is not None else ()
        return Coverage("run", " ".join(changes) or "as shown")
    command = document_commands.command(line)
    if name == "algoperf" or (command is not None and not command.arguments):
        return Coverage("asked for help", "only named")
    return None


def _is_pytest(line: str) -> bool:
    return normal(line).startswith(("python -m pytest ", "pytest ")) and normal(line) not in (*ELSEWHERE, *EXEMPT)


def _is_expression(line: str) -> bool:
    return document_commands.words(line)[:2] == ["python", "-c"]


_SNIPPETS = {
    "python": "run by the walk of the page, or as a file of examples/",
    "json": "tests/test_document_coverage.py::test_search_spaces_can_be_read",
    "text": "output",
    "bibtex": "a citation",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the list; returns 1 if a command is not tested."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.document_coverage", description="Lists how the documents' commands are tested."
    )
    parser.parse_args(arguments)
    complete = True
    of_walks = walked()
    for document in DOCUMENTS:
        print(document.relative_to(ROOT))
        found = {normal(line): coverage(line, of_walks) for line, _ in commands(document)}
        for name, how in found.items():
            print(f"  {name}\n    {how.kind}: {how.by}" if how else f"  {name}\n    NOT TESTED")
        complete = complete and None not in found.values()
        for language, body in document_commands.FENCE.findall(document.read_text()):
            if language != "sh":
                print(f"  {language}, {len(body.splitlines())} lines\n    {_SNIPPETS[language]}")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())
