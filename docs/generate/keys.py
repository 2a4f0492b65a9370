"""The table of configuration keys, from configs/base.py."""

from ml_collections import ConfigDict

from configs.base import GROUPS, Key

_TYPES = {int: "int", float: "float", bool: "bool", str: "text", ConfigDict: "values"}


def table() -> str:
    """Every key with its type, default and meaning, in groups."""
    parts = []
    for group in GROUPS:
        rows = [
            f"| `{key.name}` | {_TYPES[key.type]} | {_default(key)} | {_escaped(key.meaning)} |" for key in group.keys
        ]
        note = f"{_escaped(group.note)}\n\n" if group.note else ""
        parts.append(
            f"### {group.title}\n\n{note}| key | type | default | meaning |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _default(key: Key) -> str:
    if key.default is None or key.type is ConfigDict:
        return "unset"
    return f"`{key.default}`" if key.default != "" else "none"


def _escaped(text: str) -> str:
    return (
        text.replace("|", "\\|").replace("<dir>/<name>", "`<dir>/<name>").replace("trial_<trial>;", "trial_<trial>`;")
    )
