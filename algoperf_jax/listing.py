"""Lists the workloads with their targets and budgets, the algorithms and the configurations."""

import ast

import workloads
from algoperf_jax.configuration import files
from algoperf_jax.errors import ConfigError
from algoperf_jax.submission.framework_names import ENTRIES, algorithm_names
from algoperf_jax.workload import Workload

_ANY_FOLDER = "data"  # the facts about a workload on real data do not depend on the folder


def listing() -> str:
    """One line for each workload, then the algorithms and the configurations."""
    width = max(map(len, workloads.base_names()))
    lines = [f"{name:<{width}}  {_workload_line(name)}" for name in workloads.base_names()]
    algorithms = [f"{framework} algorithms: {', '.join(algorithm_names(framework))}" for framework in ENTRIES]
    configurations = (
        f"configurations: {', '.join(files.names())} (--config=mnist is short for configs/mnist.py, read "
        "from the working folder or else from the installed package; a colon picks a variant of a workload)"
    )
    return "\n".join([*lines, "", *algorithms, "", configurations])


def _workload_line(name: str) -> str:
    real, builtin = workloads.load(name, data_dir=_ANY_FOLDER), workloads.load(name)
    names = [other for other in workloads.names() if other != name and workloads.base_name(other) == name]
    variants = ", ".join(other.removeprefix(f"{name}_") for other in names)
    line = f"{_task(name)}: {_target(real)} (built-in data: {_target(builtin)})"
    return f"{line}; variants: {variants}" if variants else line


def _target(workload: Workload) -> str:
    goal = workload.goal
    sign = ">=" if goal.direction == "maximize" else "<="
    return f"{goal.metric} {sign} {goal.validation:g} within {workload.budget.max_runtime_sec:,.0f} s"


def _task(name: str) -> str:
    """The task, from the first line of the workload's configuration file."""
    try:
        text = ast.get_docstring(ast.parse(files.find(name).read_text())) or ""
    except ConfigError:  # a workload without its own file
        return name
    return text.partition("\n")[0].partition(": ")[2].rstrip(".") or name
