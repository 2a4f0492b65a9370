"""Every rule, on code that breaks it and on similar code that does not."""

import pathlib
import subprocess
import sys

import pytest

from algoperf_jax.errors import UserError
from algoperf_jax.rule_check import interface
from algoperf_jax.rule_check.findings import Severity
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission.locate import locate
from tests.algoperf_jax.conftest import FIVE_FUNCTIONS
from tests.algoperf_jax.rule_check.conftest import Found, Write

# Additions to a valid submission: severity, rule, code that breaks it, code that does not.
RULES: list[tuple[Severity, str, str, str]] = [
    ("error", "signature", "def update_params(workload, batch): pass", "def update_params(**arguments): pass"),
    ("error", "signature", "def get_batch_size(): return 1", "def get_batch_size(workload_name, other=1): return 1"),
    (
        "error",
        "signature",
        "import jax\n@jax.jit\ndef get_batch_size(): pass",
        "def own(f): return f\n@own\ndef get_batch_size(): pass",
    ),
    # --- names of workloads
    ("error", "workload-name", "def f(w): return w == 'ogbg'", "def f(w): return w == 'cosine'"),
    ("error", "workload-name", "def f(w): return w in ('wmt', 'fastmri')", "def f(w): return w in ('a', 'b')"),
    ("error", "workload-name", "def f(w): return {'criteo1tb': 1}[w]", "def f(w): return {'cosine': 1}[w]"),
    ("error", "workload-name", "T = {'ogbg_gelu': 1}\ndef f(w): return T[w]", "T = {'ogbg_gelu': 1}"),
    ("error", "workload-name", "def f(w): return w.startswith('imagenet')", "def f(w): return w.startswith('w')"),
    (
        "error",
        "workload-name",
        "def f(w):\n match w:\n  case 'wmt': return 1",
        "def f(w):\n match w:\n  case 'w': return 1",
    ),
    (
        "error",
        "workload-name",
        "def f(workload): return type(workload)",
        "def f(workload): return type(workload.step_hint)",
    ),
    (
        "error",
        "workload-name",
        "def f(workload): return f'{workload}'",
        "def f(workload): return f'{workload.step_hint}'",
    ),
    ("error", "workload-name", "def f(workload): return workload.__class__", "def f(self): return self.__class__"),
    (
        "error",
        "workload-name",
        "def f(workload_name): return workload_name",
        "def get_eval_batch_size(workload_name): return 8",
    ),
    (
        "error",
        "workload-name",
        "T = {'wmt': 1}\ndef size(w): return T[w]\nS = size",
        "T = {'wmt': 1}\ndef size(w): return T[w]\ndef get_batch_size(workload_name): return size(workload_name)",
    ),
    # --- the runner's objects
    (
        "error",
        "input-queue",
        "def f(workload): return workload._build_input_queue()",
        "def f(input_queue): return next(input_queue)",
    ),
    (
        "error",
        "input-queue",
        "def f(w): return getattr(w, '_build_input_queue')",
        "def f(w): return getattr(w, 'step_hint')",
    ),
    (
        "error",
        "private-attribute",
        "def f(workload): return workload._workload",
        "class A:\n def f(self): return self._f\n def _f(self): pass",
    ),
    (
        "error",
        "private-attribute",
        "def f(workload): return getattr(workload, '_x')",
        "def f(workload): return getattr(workload, 'x')",
    ),
    (
        "error",
        "private-attribute",
        "def f(workload, name): return getattr(workload, name)",
        "def f(p, name): return getattr(p, name)",
    ),
    ("error", "private-attribute", "def f(workload): return vars(workload)", "def f(p): return vars(p)"),
    ("error", "private-attribute", "def f(input_queue): return input_queue._batches", "def f(p): return p._asdict()"),
    ("note", "private-attribute", "import torch\ntorch._foreach_add_", "import torch\ntorch.add"),
    ("note", "private-attribute", "def f(p): p._x()", "def f(p):\n p._x = 1\n p._x"),
    ("error", "workload-attribute", "def f(workload): workload.step_hint = 1", "def f(state): state.step_hint = 1"),
    ("error", "workload-attribute", "def f(workload): setattr(workload, 'a', 1)", "def f(p): setattr(p, 'a', 1)"),
    ("error", "workload-attribute", "def f(w: 'spec.Workload'): w.x = 1", "def f(w: int): w.x = 1"),
    (
        "error",
        "workload-attribute",
        "def f(workload): object.__setattr__(workload, 'a', 1)",
        "def f(p): object.__setattr__(p, 'a', 1)",
    ),
    # --- environment
    ("error", "environment", "import os\nos.environ['XLA_FLAGS'] = ''", "environ = {}\nenviron['XLA_FLAGS'] = ''"),
    ("error", "environment", "from os import environ\nenviron.update(A='1')", "environ = {}\nenviron.update(A='1')"),
    ("error", "environment", "import os\nos.putenv('A', '1')", "import os\nos.path.join('A', '1')"),
    ("error", "environment", "import os\ndel os.environ['A']", "import os\ndel os"),
    ("error", "environment", "import os\ngetattr(os, 'environ')['A'] = '1'", "import os\ngetattr(os, 'sep')"),
    ("warning", "environment", "import os\nos.getenv('HOME')", "import os\nos.cpu_count()"),
    ("warning", "environment", "import os\nf = 'HOME' in os.environ", "f = 'HOME' in ()"),
    ("note", "environment", "import os\nf = int(os.environ['LOCAL_RANK'])", "f = int('1')"),
    # --- files, network, processes
    ("error", "file-access", "def f(): open('a', 'w')", "def f(open): open('a', 'w')"),
    (
        "error",
        "file-access",
        "class A:\n def open(self): pass\ndef f(): open('a', 'w')",
        "def open(*a): pass\ndef f(): open('a', 'w')",
    ),
    (
        "error",
        "workload-attribute",
        "def f(self): self.workload.x = 1",
        "def f(self, workload): self.workload = workload",
    ),
    ("error", "file-access", "def f(p): p.write_text('a')", "def f(p): p.write('a')"),
    (
        "error",
        "file-access",
        "import numpy as np\ndef f(x): np.save('a', x)",
        "import numpy as np\ndef f(x): np.sum(x)",
    ),
    ("error", "file-access", "import torch\ndef f(x): torch.save(x, 'a')", "def f(torch, x): torch.save(x, 'a')"),
    ("warning", "file-access", "def f(): return open('a').read()", "def f(): return 1"),
    (
        "warning",
        "file-access",
        "import pickle\ndef f(x): return pickle.load(x)",
        "import pickle\ndef f(x): return pickle.dumps(x)",
    ),
    ("note", "file-access", "import pathlib\nT = (pathlib.Path(__file__).parent / 'a').read_text()", "T = 'a'"),
    ("note", "file-access", "T = open('a').read()", "if __name__ == '__main__':\n T = open('a').read()"),
    (
        "error",
        "network",
        "import urllib.request\nurllib.request.urlopen('a')",
        "import urllib.parse\nurllib.parse.quote('a')",
    ),
    ("error", "network", "import socket\nsocket.socket()", "def f(socket): socket.socket()"),
    ("error", "process", "import subprocess\nsubprocess.run(['ls'])", "run = print\nrun(['ls'])"),
    ("error", "process", "from os import system as s\ns('ls')", "from os import sep as s"),
    # --- threads, time, libraries
    ("error", "concurrency", "import threading\nthreading.Thread()", "import threading"),
    (
        "error",
        "concurrency",
        "from concurrent.futures import ThreadPoolExecutor\nThreadPoolExecutor()",
        "P = list\nP()",
    ),
    ("error", "concurrency", "async def f(): pass", "def f(): pass"),
    ("error", "concurrency", "import signal\nsignal.alarm(1)", "signal = list\nsignal.append(1)"),
    ("note", "time", "import time\ntime.sleep(1)", "def f(time): time.sleep(1)"),
    ("warning", "library-state", "import jax\njax.config.update('a', 1)", "import jax\njax.devices()"),
    ("warning", "library-state", "import jax\njax.default_matmul_precision('bfloat16')", "import jax\njax.devices()"),
    (
        "warning",
        "library-state",
        "import torch\ntorch.backends.cudnn.benchmark = True",
        "import torch\ntorch.backends.cudnn.benchmark",
    ),
    ("warning", "library-state", "import optax\noptax.adam = None", "import optax\nadam = optax.adam"),
    ("warning", "library-state", "import optax\nsetattr(optax, 'adam', None)", "import optax\ngetattr(optax, 'adam')"),
    (
        "error",
        "engine",
        "from algoperf import spec\nspec.ForwardPassMode = None",
        "from algoperf import spec\nspec.ForwardPassMode.TRAIN",
    ),
    (
        "warning",
        "engine",
        "from algoperf_jax import clock",
        "from algoperf_jax.submission import ForwardPassMode",
    ),
    ("warning", "introspection", "import inspect\ninspect.stack()", "import inspect\ninspect.signature"),
    ("warning", "dynamic-code", "exec('a = 1')", "def f(model): model.eval()"),
    ("error", "missing-module", "import nosuchlibrary.part", "import torch.optim"),
    ("error", "missing-module", "import nosuchlibrary", "try:\n import nosuchlibrary\nexcept ImportError:\n pass"),
]


@pytest.mark.parametrize(("severity", "rule", "bad", "good"), RULES)
def test_a_rule_finds_only_what_breaks_it(found: Found, severity: Severity, rule: str, bad: str, good: str) -> None:
    assert [(f.severity, f.rule) for f in found(bad)] == [(severity, rule)]
    assert not found(good)


def test_functions_that_are_missing_are_named(found: Found) -> None:
    findings = found(base="def get_batch_size(workload_name): return 1\nupdate_params = print")
    assert [f.rule for f in findings] == ["missing-function"]
    assert "lacks init_optimizer_state, data_selection;" in findings[0].message


def test_a_batch_size_that_only_the_benchmarks_runner_needs_is_noted(found: Found) -> None:
    without = "\n".join(f"{name} = print" for name in interface.REQUIRED)
    assert [(f.severity, f.rule) for f in found(base=without)] == [("note", "no-batch-size")]
    assert not found(base=f"{without}\ndef get_batch_size(workload_name): return 1")


def test_a_finding_names_the_place(found: Found) -> None:
    base = "import os\n\n\ndef get_batch_size(workload_name):\n    return int(os.environ['SIZE'])\n"
    finding = next(f for f in found(base=f"{base}{FIVE_FUNCTIONS}") if f.rule == "environment")
    assert finding.place == "submission.py:5"
    assert "SIZE" in finding.message


def test_only_imported_files_are_read(found: Found) -> None:
    findings = found(
        "from .near import f\nimport algorithm.far",
        near="import os\nos.system('ls')",
        far="import socket\nsocket.socket()",
        unused="import subprocess\nsubprocess.run([])",
    )
    assert [(f.rule, f.place) for f in findings] == [("network", "far.py:2"), ("process", "near.py:2")]


def test_a_file_that_cannot_be_parsed_is_one_finding(found: Found) -> None:
    findings = found(base="import os\nos.environ[")
    assert [(f.severity, f.rule) for f in findings] == [("error", "syntax")]
    assert findings[0].line == 2


@pytest.mark.parametrize("importing", ["from . import broken", "from .broken import f", "import algorithm.broken"])
def test_an_imported_file_that_cannot_be_parsed_is_found(found: Found, importing: str) -> None:
    findings = found(importing, broken="def f(:\n")
    assert [(f.rule, f.place) for f in findings] == [("syntax", "broken.py:1")]


def test_a_file_that_contains_itself_twice_is_reported(found: Found) -> None:
    source = f'"""A submission."""\n{FIVE_FUNCTIONS}'.rstrip()
    findings = found(base=source + source)
    assert [(f.rule, f.line) for f in findings] == [("syntax", source.count("\n") + 1)]
    assert "second copy" in findings[0].message


def test_an_optax_factory_needs_no_other_function(found: Found) -> None:
    assert not found(base="def make_optimizer(hyperparameters, workload): pass")
    assert [f.rule for f in found(base="def make_optimizer(hyperparameters): pass")] == ["signature"]


def test_functions_may_come_from_another_file(found: Found) -> None:
    assert not found(base="from .parts import *", parts=FIVE_FUNCTIONS)
    names = ", ".join(interface.REQUIRED)
    assert not found(base=f"from .parts import {names}, get_batch_size", parts=FIVE_FUNCTIONS)


def test_requirements_are_compared_with_what_is_installed(found: Found) -> None:
    lines = [
        "# a comment",
        "numpy>=1.0",
        "optax==0.0.1  # old",
        "nosuchlibrary==1.0",
        "-e git+https://example.org/x.git@1#egg=x",
        "-r other.txt",
        "jax ~= 0.1.0",
        "flax==0.*",
    ]
    findings = found(**{"requirements.txt": "\n".join(lines)})
    assert [(f.severity, f.line) for f in findings] == [("warning", 4), ("warning", 5), ("note", 3), ("note", 7)]
    assert {f.rule for f in findings} == {"requirement"}


def test_only_imported_packages_of_a_conda_environment_count(found: Found) -> None:
    lines = ["# platform: linux-64", "_libgcc_mutex=0.1=main", "optax=0.1.5=pypi_0", "keras=2.12.0=pypi_0"]
    findings = found("import optax", **{"requirements_all.txt": "\n".join(lines)})
    assert [(f.severity, f.rule, f.line) for f in findings] == [("note", "requirement", 3)]


@pytest.mark.parametrize("framework", ["jax", "pytorch"])
@pytest.mark.parametrize("name", ["nadamw", "adamw"])
def test_ready_made_algorithms_break_no_rule(name: str, framework: str) -> None:
    report = static_report(locate(name, framework))
    assert report.framework == framework
    assert not [f for f in report.findings if f.severity != "note"]


def test_a_report_can_be_kept_as_json(write: Write) -> None:
    report = static_report(locate(str(write("import os\nos.system('ls')").parent))).as_dict()
    assert report["files"] == ["submission.py"]
    assert report["findings"] == [
        {
            "severity": "error",
            "rule": "process",
            "message": "uses os.system: a submission must not start or end processes",
            "file": "submission.py",
            "line": FIVE_FUNCTIONS.count("\n") + 3,
        }
    ]


def test_a_missing_submission_is_an_error_for_the_user(tmp_path: pathlib.Path) -> None:
    for reference in (str(tmp_path / "none.py"), str(tmp_path), "nadamww"):
        with pytest.raises(UserError, match="no such submission"):
            static_report(locate(reference))


def test_reading_loads_no_framework_and_runs_nothing(write: Write) -> None:
    path = write("import sys\nsys.exit('it ran')")
    program = f"""
import sys
from algoperf_jax.submission.locate import locate
from algoperf_jax.rule_check.static import static_report
from algoperf_jax.submission.locate import locate
assert not static_report(locate({str(path)!r})).findings
assert not {{"jax", "torch", "numpy"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
