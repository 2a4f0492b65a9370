"""A hook of MkDocs: pages that are kept outside of docs/, and links between pages as they are in the repository.

Documents link to each other by their paths in the repository, so that they can be read there. In the site some have
another place: `PAGES`. Files that documents link to, such as the examples, come with the site.
"""

import pathlib
import posixpath
import re
from collections.abc import Mapping
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[2]
PAGES: Mapping[str, str] = {
    "README.md": "index.md",
    "BUILD.md": "installation.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "third_party/README.md": "published-submissions.md",
    "findings/README.md": "findings.md",
}
"""Path in the repository -> page of the site."""
ALONE = ("index.md", "workloads.md")
"""Pages that are sections by themselves, and have no others to list beside them."""
FILES = ("examples/*", "notebooks/*.ipynb", "LICENSE")
"""What documents may link to and is no page."""
_CODE_OR_LINK = re.compile(r"^```.*?^```|`[^`\n]+`|\]\(([^)\s]+)\)", re.MULTILINE | re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Adds what is kept outside of docs/."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    for path in (path for pattern in FILES for path in sorted(ROOT.glob(pattern)) if path.is_file()):
        place = path.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turns links between files of the repository into links between pages of the site."""
    del config
    if page.file.src_uri in ALONE:
        page.meta["hide"] = ["navigation"]
    source = pathlib.Path(page.file.abs_src_path).relative_to(ROOT).as_posix()

    def changed(match: re.Match[str]) -> str:
        link = match[1]
        if link is None or re.match(r"\w+:|#", link):
            return match[0]
        target, hash_sign, anchor = link.partition("#")
        place = in_site(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if files.get_file_from_path(place) is None:
            raise PluginError(f"{source} links to {target}, which is no page of the site: see docs/generate/site.py")
        relative = posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or ".")
        return f"]({relative}{hash_sign}{anchor})"

    return _CODE_OR_LINK.sub(changed, markdown)


def in_site(path: str) -> str:
    """Where a file of the repository is in the site."""
    return PAGES.get(path, path.removeprefix("docs/"))
