"""Downloads and converts the real data of a workload: `python -m algoperf_jax.prepare WORKLOAD --data_dir=D`.

The conversion is the module `workloads.<name>.prepare` (see `workloads.preparation`). It defines

- `DATASET: DatasetSpec`: name and version of the data set that it makes;
- `DOWNLOADS: tuple[Download, ...]`: the raw files;
- `convert(folder: pathlib.Path) -> Mapping[str, Iterable[Block]] | Conversion`: makes the splits from a folder with the
  raw files, packed or unpacked; as a `Conversion`, with further facts for the manifest. It raises `DataError` for
  missing or damaged raw files, and logs other facts for the user with `logging`;
- instead of `convert`, for data too large to start again after an interruption: `convert_into(folder: pathlib.Path,
  own: pathlib.Path) -> Written`. It writes files of its own into `own`, and keeps the complete files that it finds
  there; see `algoperf_jax/data/continued.py`;
- `check(folder: pathlib.Path) -> None`, optional beside `convert_into`: raises the errors that are known from the names
  of the raw files and from the options, before `--force` removes an older data set;
- `OPTIONS: tuple[str, ...]`, optional: names of further keyword arguments of the conversion, whose values are strings.

Without `DOWNLOADS`, the user has to provide the raw files.

Variants of a workload share its data.
"""

import contextlib
import fcntl
import logging
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType

from algoperf_jax import command_line
from algoperf_jax.data import continued, download, prepared
from algoperf_jax.errors import ConfigError, DataError, did_you_mean

_REPORT_PERIOD_SEC = 10.0


def prepare(
    name: str,
    data_dir: pathlib.Path,
    *,
    raw: pathlib.Path | None,
    force: bool,
    options: Mapping[str, str] | None = None,
) -> None:
    """Prepares the data of a workload; does nothing if it is already prepared.

    Args:
      name: registry name of the workload or of a variant.
      data_dir: folder of all prepared data sets.
      raw: folder with the raw files, or None to download them into `<data_dir>/downloads/<dataset>`.
      force: prepare again even if the data set is complete.
      options: options of the conversion; they are recorded in the manifest.

    Raises:
      UserError: says in one line what is wrong and how to fix it.
    """
    import workloads

    conversion = workloads.preparation(name)
    spec: prepared.DatasetSpec = conversion.DATASET
    options = dict(options or {})
    for option in options:
        if option not in (known := getattr(conversion, "OPTIONS", ())):
            raise ConfigError(
                f"--option {option}",
                remedy=did_you_mean(option, known) if known else f"Preparing {spec.name} has no options.",
            )
    if not force and (existing := _complete(data_dir, spec)) is not None:
        print(f"{spec.name} {spec.version} in {data_dir} is already prepared ({_sizes(existing)})")
        return
    if raw is not None and not raw.is_dir():
        raise DataError("--from", value=str(raw), expected="a folder with the raw files")
    if raw is None and not conversion.DOWNLOADS:
        raise DataError(
            f"the raw files of {spec.name} cannot be downloaded without registration",
            remedy=f"Get them as {conversion.__name__} says and run: "
            f"{prepared.command(name, data_dir, '--from=FOLDER')}",
        )
    prepared.check_replaceable(data_dir, spec)
    with _only_process(data_dir, spec.name):
        source = f"files from {raw.resolve()}" if raw is not None else _urls(conversion)
        folder = raw if raw is not None else _fetch(conversion, data_dir / "downloads" / spec.name)
        print(f"converting {spec.name} from {folder}", flush=True)
        if options:
            source += f" ({', '.join(f'{option}={value}' for option, value in options.items())})"
        if hasattr(conversion, "convert_into"):
            if hasattr(conversion, "check"):
                conversion.check(folder, **options)
            own = continued.begin(data_dir, spec, force=force, arguments=_arguments(raw, options))
            written: continued.Written = conversion.convert_into(folder, own, **options)
            continued.finish(data_dir, spec, written, source=source)
        else:
            converted = conversion.convert(folder, **options)
            if not isinstance(converted, prepared.Conversion):
                converted = prepared.Conversion(converted)
            splits = {split: _counted(split, blocks) for split, blocks in converted.splits.items()}
            prepared.write(data_dir, spec, splits, source=source, facts=converted.facts)
    print(f"{spec.name} {spec.version} is ready in {data_dir} ({_sizes(prepared.load(data_dir, spec))})")


def main(arguments: Sequence[str]) -> int:
    """Runs the command and returns the exit code."""
    return command_line.execute(
        _run,
        arguments,
        lambda _: _parser().format_help(),
        when_interrupted="the same command continues, and keeps what is complete",
    )


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        "algoperf_jax.prepare",
        usage="WORKLOAD --data_dir=D [options]",
        description="Downloads and converts the real data of a workload.",
    )
    parser.add_argument("workload", metavar="WORKLOAD", help="name of a workload, for instance mnist")
    parser.add_argument("--data_dir", required=True, metavar="D", help="folder of all prepared data sets")
    parser.add_argument(
        "--from", dest="raw", metavar="FOLDER", help="folder with the raw files; default: download them"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the conversion"
    )
    parser.add_argument("--force", action="store_true", help="prepare again even if the data set is complete")
    return parser


def _run(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        prepare(
            options.workload,
            pathlib.Path(options.data_dir).expanduser(),
            raw=pathlib.Path(options.raw).expanduser() if options.raw else None,
            force=options.force,
            options=dict(_key_and_value(option) for option in options.option),
        )
    except OSError as error:
        raise DataError(f"a file cannot be read or written: {error}") from error
    return command_line.EXIT_OK


def _key_and_value(option: str) -> tuple[str, str]:
    key, separator, value = option.partition("=")
    if not (key and separator):
        raise ConfigError("--option", value=option, expected="KEY=VALUE")
    return key, value


def _complete(data_dir: pathlib.Path, spec: prepared.DatasetSpec) -> prepared.Prepared | None:
    try:
        return prepared.load(data_dir, spec)
    except DataError:
        return None


@contextlib.contextmanager
def _only_process(data_dir: pathlib.Path, dataset: str) -> Iterator[None]:
    """Locks a data set, so that no other process prepares it; the lock ends with this process at the latest."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / f".{dataset}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(
                f"another process is preparing {dataset} in {data_dir}", remedy="Wait until it has finished."
            ) from error
        yield


def _arguments(raw: pathlib.Path | None, options: Mapping[str, str]) -> list[str]:
    """The arguments of the command besides the data set and its folder, for any working directory."""
    source = [] if raw is None else [f"--from={raw.resolve()}"]
    return source + [f"--option={option}={value}" for option, value in options.items()]


def _urls(conversion: ModuleType) -> str:
    return ", ".join(item.url for item in conversion.DOWNLOADS)


def _fetch(conversion: ModuleType, folder: pathlib.Path) -> pathlib.Path:
    for item in conversion.DOWNLOADS:
        with download.console_report(item.filename) as report:
            download.fetch(item, folder, report=report)
    return folder


def _counted(split: str, blocks: Iterable[prepared.Block]) -> Iterator[prepared.Block]:
    """Passes blocks through; prints the number of examples periodically and at the end."""
    count, last = 0, time.monotonic()
    for block in blocks:
        yield block
        count += block.num_examples
        if time.monotonic() - last > _REPORT_PERIOD_SEC:
            last = time.monotonic()
            print(f"{split}: {count:,} examples so far", flush=True)
    print(f"{split}: {count:,} examples", flush=True)


def _sizes(data: prepared.Prepared) -> str:
    return ", ".join(f"{split}: {data.num_examples(split):,}" for split in data.splits)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
