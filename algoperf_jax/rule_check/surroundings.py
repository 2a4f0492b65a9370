"""Finds uses of the machine, and of libraries beyond their mathematics.

Most rules are a table of dotted names. Names that a program computes at run time are not found; a warning says where a
program does that.
"""

import ast
import dataclasses
from collections.abc import Iterator, Sequence

from algoperf_jax.rule_check.findings import Finding, Severity
from algoperf_jax.rule_check.modules import Module, Node, text_of


@dataclasses.dataclass(frozen=True)
class _Use:
    """Dotted names, with everything below them, that submissions should not use, and the reason."""

    severity: Severity
    rule: str
    why: str
    names: tuple[str, ...]


# fmt: off
_USES = (
    _Use("error", "network", "a submission must not use the network", (
        "urllib.request", "http", "socket", "socketserver", "ssl", "ftplib", "smtplib", "xmlrpc", "requests", "urllib3",
        "httpx", "aiohttp", "torch.hub", "torch.utils.model_zoo", "huggingface_hub",
    )),
    _Use("error", "process", "a submission must not start or end processes", (
        "subprocess", "pty", "os.system", "os.popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.posix_spawnp",
        "os.kill", "os.killpg", "os._exit", "os.abort",
        *(f"os.{kind}{way}" for kind in ("exec", "spawn") for way in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    )),
    _Use("error", "concurrency", "work must happen within the timed calls", (
        "threading", "_thread", "multiprocessing", "concurrent", "asyncio", "signal", "atexit", "sched",
        "torch.multiprocessing", "torch.jit.fork", "torch.futures",
    )),
    _Use("error", "file-access", "a submission must not write files", (
        "os.remove", "os.unlink", "os.mkdir", "os.makedirs", "os.rename", "os.renames", "os.replace", "os.rmdir",
        "os.removedirs", "os.truncate", "os.symlink", "os.link", "shutil", "tempfile", "pickle.dump", "numpy.save",
        "numpy.savez", "numpy.savez_compressed", "numpy.savetxt", "jax.numpy.save", "jax.numpy.savez", "torch.save",
        "joblib.dump", "json.dump", "orbax", "flax.training.checkpoints", "torch.distributed.checkpoint",
    )),
    _Use("warning", "file-access", "the content is not part of the submission's source", (
        "os.open", "os.listdir", "os.scandir", "os.walk", "glob", "mmap", "sqlite3", "shelve", "dbm", "h5py",
        "pickle.load", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt", "numpy.fromfile", "numpy.memmap",
        "jax.numpy.load", "jax.numpy.fromfile", "torch.load", "torch.from_file", "joblib.load", "pandas.read_csv",
        "pandas.read_pickle", "pandas.read_parquet", "importlib.resources", "pkgutil.get_data",
    )),
    _Use("warning", "introspection", "it accesses objects that it was not given", (
        "sys._getframe", "sys.modules", "sys.meta_path", "sys.settrace", "sys.setprofile", "sys.addaudithook",
        "inspect.stack", "inspect.currentframe", "inspect.trace", "gc.get_objects", "gc.get_referrers", "ctypes",
        "unittest.mock",
    )),
    _Use("warning", "dynamic-code", "this code cannot be checked from the source", (
        "builtins.exec", "builtins.eval", "builtins.compile", "builtins.__import__", "builtins.globals",
        "importlib.import_module", "importlib.util", "importlib.reload", "runpy",
    )),
    _Use("warning", "library-state", "it changes a library's behavior, also for the evaluation", (
        "jax.config.update", "jax.default_matmul_precision", "torch.set_default_dtype", "torch.set_default_device",
        "torch.set_default_tensor_type",
        "torch.set_float32_matmul_precision", "torch.set_num_threads", "torch.set_num_interop_threads",
        "torch.use_deterministic_algorithms", "torch.set_grad_enabled", "torch.autograd.set_detect_anomaly",
        "torch.set_flush_denormal", "numpy.seterr", "gc.disable", "gc.set_threshold", "gc.freeze",
    )),
    _Use("note", "time", "times differ between machines", (
        "time", "datetime.datetime.now", "datetime.datetime.utcnow", "timeit", "torch.utils.benchmark",
    )),
)
# fmt: on
_METHODS_THAT_READ = ("read_text", "read_bytes")
_METHODS_THAT_WRITE = ("write_text", "write_bytes", "unlink", "mkdir", "touch", "rmdir", "symlink_to", "tofile")
_OPENERS = ("builtins.open", "io.open", "gzip.open", "bz2.open", "lzma.open")
_ENGINE = ("algoperf", "algorithmic_efficiency", "algoperf_jax", "configs", "third_party", "torch_compat", "workloads")
_FOR_SUBMISSIONS = (
    "algoperf_jax.submission",
    "algoperf_jax.workload",
    "algoperf_jax.algorithms",
    "algoperf_jax.schedules",
    "torch_compat.algorithms",
    "torch_compat.schedules",
    "torch_compat.layers.collectives",
)
_RANKS = frozenset({"LOCAL_RANK", "RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})
_ENVIRON_SETTERS = ("update", "setdefault", "pop", "popitem", "clear", "__setitem__", "__delitem__")


def check(module: Module) -> Iterator[Finding]:
    """Finds violations in one file."""
    for node, name in module.chains:
        if name.startswith(("os.environ", "os.getenv", "os.putenv", "os.unsetenv")):
            yield _environment(module, node, name)
        else:
            yield from _by_table(module, node, name)
            yield from _opened(module, node, name)
        yield from _library_state(module, node, name)
    for node in module.nodes:
        yield from _methods(module, node)
        yield from _engine_imports(module, node)
        if isinstance(node.syntax, ast.AsyncFunctionDef):
            yield module.finding("error", "concurrency", node.syntax, "asynchronous function")


def _by_table(module: Module, node: Node, name: str) -> Iterator[Finding]:
    use = next((use for use in _USES if any(name == n or name.startswith(f"{n}.") for n in use.names)), None)
    if use is None:
        return
    severity = use.severity
    if (use.rule, severity) == ("file-access", "warning") and not node.functions:
        severity = "note"  # a file of the submission, read once when it is loaded
    yield module.finding(severity, use.rule, node.syntax, f"uses {name.removeprefix('builtins.')}: {use.why}")


def _opened(module: Module, node: Node, name: str) -> Iterator[Finding]:
    call = node.parent
    if name in _OPENERS and isinstance(call, ast.Call) and call.func is node.syntax:
        yield _opening(module, node, call, call.args[1:], name.removeprefix("builtins."))


def _opening(module: Module, node: Node, call: ast.Call, modes: Sequence[ast.expr], name: str) -> Finding:
    """The finding about a call of `open`, which depends on its mode."""
    mode = next((keyword.value for keyword in call.keywords if keyword.arg == "mode"), modes[0] if modes else None)
    text = text_of(mode)
    if mode is not None and (text is None or set(text) & set("wax+")):
        return module.finding("error", "file-access", call, f"{name}() for writing: a submission must not write files")
    severity: Severity = "warning" if node.functions else "note"
    return module.finding(
        severity, "file-access", call, f"{name}(): the content is not part of the submission's source"
    )


def _methods(module: Module, node: Node) -> Iterator[Finding]:
    """Finds methods of paths and arrays, recognized by name alone."""
    call = node.syntax
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return
    if module.dotted(Node(call.func, call, node.functions)) is not None and not call.func.attr.endswith(
        ("_text", "_bytes")
    ):
        return  # a function of a module; the table covers these
    method = call.func.attr
    if method in _METHODS_THAT_WRITE:
        yield module.finding("error", "file-access", call, f".{method}(): a submission must not write files")
    elif method in _METHODS_THAT_READ:
        severity: Severity = "warning" if node.functions else "note"
        yield module.finding(
            severity, "file-access", call, f".{method}(): the content is not part of the submission's source"
        )
    elif method == "open":
        yield _opening(module, node, call, call.args, ".open")


def _environment(module: Module, node: Node, name: str) -> Finding:
    variable, sets = _variable(module, node, name)
    what = f"the environment variable {variable}" if variable else "environment variables"
    if not sets and variable in _RANKS:
        return module.finding("note", "environment", node.syntax, f"reads {what}, which describes the processes")
    if not sets:
        return module.finding("warning", "environment", node.syntax, f"reads {what}")
    if variable and variable.startswith(("XLA_", "LIBTPU_", "JAX_", "TF_", "NVIDIA_", "TORCH")):
        return module.finding(
            "error", "environment", node.syntax, f"sets {what}, which changes how programs are compiled"
        )
    return module.finding("error", "environment", node.syntax, f"sets {what}: a submission must not change them")


def _variable(module: Module, node: Node, name: str) -> tuple[str | None, bool]:
    """The name of the variable, if it is in the source, and whether it is set rather than read."""
    parent = node.parent
    method = name.rpartition(".")[2]
    sets = method in (*_ENVIRON_SETTERS, "putenv", "unsetenv")
    if isinstance(parent, ast.Call) and parent.func is node.syntax:
        return text_of(parent.args[0] if parent.args else None), sets
    if isinstance(parent, ast.Subscript) and parent.value is node.syntax:
        return text_of(parent.slice), sets or isinstance(parent.ctx, ast.Store | ast.Del)
    if isinstance(parent, ast.Compare):
        return text_of(parent.left), sets
    is_target = isinstance(getattr(node.syntax, "ctx", None), ast.Store | ast.Del)
    return None, sets or is_target or isinstance(parent, ast.AugAssign)


def _library_state(module: Module, node: Node, name: str) -> Iterator[Finding]:
    """Finds assignments to attributes of imported modules, including `setattr`."""
    parent = node.parent
    is_set = isinstance(node.syntax, ast.Attribute) and isinstance(node.syntax.ctx, ast.Store | ast.Del)
    by_name = isinstance(parent, ast.Call) and parent.args[:1] == [node.syntax]
    by_name = by_name and ast.unparse(parent.func) in ("setattr", "delattr")  # pyright: ignore[reportAttributeAccessIssue]
    if not (is_set or by_name) or name.startswith((".", "os.environ")):
        return
    if name.partition(".")[0] in _ENGINE:
        yield module.finding("error", "engine", node.syntax, f"sets {name}: a submission must not change the benchmark")
    else:
        why = "it changes a library's behavior, also for the evaluation"
        yield module.finding("warning", "library-state", node.syntax, f"sets {name}: {why}")


def _engine_imports(module: Module, node: Node) -> Iterator[Finding]:
    """Finds imports of parts of this project that are not for submissions."""
    if isinstance(node.syntax, ast.Import):
        names = [alias.name for alias in node.syntax.names]
    elif isinstance(node.syntax, ast.ImportFrom) and not node.syntax.level:
        names = [f"{node.syntax.module}.{alias.name}" for alias in node.syntax.names]
    else:
        return
    for name in names:
        inside = name.partition(".")[0] in _ENGINE[2:]
        if inside and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in _FOR_SUBMISSIONS):
            yield module.finding("warning", "engine", node.syntax, f"imports {name}, which is not for submissions")
