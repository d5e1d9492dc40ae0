"""What the documentation refers to, and its pages as one tree for the site: python tools/documentation.py

Every Markdown file of the repository keeps its place in build/docs/pages, so that links between them hold, and files
that they link to lie beside them. `make docs` builds the site from there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "build" / "docs" / "pages"

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")
TARGET = re.compile(r"(?:^|[\s(;&|])make ([a-z][a-z-]*)\b")
PLAYBOOK = re.compile(r"\bansible-playbook\s+(?:-i \S+\s+)?(\S+\.yml)\b")
# "make" is a word too, so longer code within a sentence is none.
MOST_WORDS_OF_A_COMMAND = 8


def pages() -> list[Path]:
    """Every Markdown file that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return [ROOT / name for name in sorted(set(found)) if (ROOT / name).exists()]


def anchor(heading: str) -> str:
    """The name that a heading is linked by, as GitHub makes it; the site checks what it makes of it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(FENCE.sub("", text))}


def links(text: str) -> Iterator[tuple[str, str]]:
    """Relative links outside of fenced blocks: path ("" is the page itself) and anchor ("" is none)."""
    yield from LINK.findall(FENCE.sub("", text))


def commands(text: str) -> Iterator[str]:
    """Lines of fenced blocks without their comments, and short code within sentences."""
    for block in FENCE.findall(text):
        for line in block.splitlines()[1:-1]:
            yield line.partition(" # ")[0]
    for code in CODE.findall(FENCE.sub("", text).replace("\n", " ")):
        if len(code.split()) <= MOST_WORDS_OF_A_COMMAND:
            yield code


def targets(text: str) -> set[str]:
    """Targets of `make` that a page names."""
    return {name for command in commands(text) for name in TARGET.findall(command)}


def playbooks(text: str) -> set[str]:
    """Files that a page hands to ansible-playbook."""
    return {name for command in commands(text) for name in PLAYBOOK.findall(command)}


def stage() -> None:
    """Copy the pages, and what they link to, into PAGES."""
    shutil.rmtree(PAGES, ignore_errors=True)
    found = pages()
    linked = {
        (page.parent / path).resolve() for page in found for path, _ in links(page.read_text(encoding="utf-8")) if path
    }
    for file in {*found, *(each for each in linked if each.is_file())}:
        target = PAGES / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


if __name__ == "__main__":
    stage()
