"""Checks a submission without running it, by reading the source of all its files."""

import ast
import os
import pathlib

from algoperf_jax.errors import SubmissionError, did_you_mean
from algoperf_jax.rule_check import interface, private_parts, requirements, surroundings, workload_names
from algoperf_jax.rule_check.findings import Finding, Report, in_order
from algoperf_jax.rule_check.modules import Module
from algoperf_jax.submission import framework_names
from algoperf_jax.submission.framework_names import ENTRIES
from algoperf_jax.submission.locate import Located

PREVENT_LOADING = frozenset({"syntax", "missing-function", "missing-module", "signature"})
"""Rules whose violation prevents loading the submission."""
_HEAD_CHARACTERS = 200


def static_report(located: Located) -> Report:
    """Checks the source of a submission; imports neither the submission nor JAX or PyTorch.

    Raises:
      SubmissionError: there is no such submission.
    """
    files = located.files
    if files is None:
        algorithms = framework_names.algorithm_names(located.framework) if located.framework in ENTRIES else ()
        raise SubmissionError(
            "no such submission",
            value=located.reference,
            expected="a Python file, a folder with a submission.py, a ready-made algorithm or a dotted module",
            remedy=did_you_mean(located.reference, algorithms),
        )
    entry = files.entry
    modules = [Module(_named(path, entry), tree) for path, tree in files.trees.items()]
    broken = sorted(files.unparsed)
    findings = [_syntax_finding(path, entry) for path in broken]
    for module in modules:
        findings += surroundings.check(module)
        if module.name == entry.name:
            findings += interface.check(module)
    findings += workload_names.check(modules)
    findings += private_parts.check(modules)
    findings += requirements.check_imports(modules, files)
    findings += requirements.check_files(entry.parent, files.imported_libraries())
    names = sorted(_named(path, entry) for path in {*files.trees, *broken})
    return Report(str(entry), located.framework, tuple(names), in_order(findings))


def _named(path: pathlib.Path, entry: pathlib.Path) -> str:
    return os.path.relpath(path, entry.parent)


def _syntax_finding(path: pathlib.Path, entry: pathlib.Path) -> Finding:
    """The finding about a file that cannot be parsed."""
    name = _named(path, entry)
    try:
        content = path.read_bytes()
        ast.parse(content)
    except SyntaxError as error:
        text = content.decode(errors="replace")
        again = text.find(text[:_HEAD_CHARACTERS], 1) if len(text) > 2 * _HEAD_CHARACTERS else -1
        if again > 0:
            line = text.count("\n", 0, again) + 1
            return Finding(
                "error", "syntax", "the file contains a second copy of itself, which begins here", name, line
            )
        where = f": {error.text.strip()[:80]}" if error.text else ""
        return Finding("error", "syntax", f"{error.msg}{where}", name, error.lineno or 0)
    except (OSError, ValueError) as error:
        return Finding("error", "syntax", f"is not valid Python: {error}", name)
    return Finding("error", "syntax", "is not valid Python", name)
