"""What the documentation points at is there: links, headings, commands; and what it says of inventories is theirs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import documentation
import environments
import pytest
from documentation import ROOT

PAGES = documentation.pages()
ENVIRONMENTS = ROOT / "docs" / "environments.md"


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    broken = []
    for path, heading in documentation.links(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (
            heading and heading not in documentation.anchors(target.read_text(encoding="utf-8"))
        ):
            broken.append(f"{path}#{heading}" if heading else path)
    assert not broken


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_playbook_that_is_named_exists(page: Path) -> None:
    named = documentation.playbooks(page.read_text(encoding="utf-8"))
    assert not [each for each in named if not (ROOT / each).exists()]


def test_every_target_of_make_that_is_named_exists() -> None:
    named: dict[str, list[str]] = {}
    for page in PAGES:
        for target in documentation.targets(page.read_text(encoding="utf-8")):
            named.setdefault(target, []).append(name(page))
    assert "staging" in named
    for target, where in named.items():
        done = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"make {target}, named in {', '.join(where)}: {done.stderr}"


def test_every_page_can_be_reached_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "docs" / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            text = page.read_text(encoding="utf-8")
            waiting += [(page.parent / path).resolve() for path, _ in documentation.links(text) if path]
    assert not [name(page) for page in PAGES if page.parent == ROOT / "docs" and page not in seen]


def test_every_page_is_in_the_menu_of_the_site() -> None:
    said = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [name(page) for page in PAGES if page.parent == ROOT / "docs" and f": {name(page)}\n" not in said]


def rows_of_variables(text: str) -> dict[str, list[str]]:
    """Rows of tables whose first cell is a variable: the other cells."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if line.startswith("| `plane_"):
            found[cells[0]] = cells[1:]
    return found


def test_the_environments_differ_as_the_page_says() -> None:
    said = rows_of_variables(ENVIRONMENTS.read_text(encoding="utf-8"))
    assert len(said) > 5
    found = [environments.read(ROOT / "inventories" / each) for each in ("staging", "cloud", "commercial", "community")]
    for variable, cells in said.items():
        assert cells == [str(each.variables[variable]) for each in found], variable


def test_links_commands_and_headings_are_found_where_they_are() -> None:
    text = "# A `b`: c / d\n[x](y.md#z) `make staging`\nmake sure\n```\n[no](no.md)\nmake bake ENV=a # make not\n"
    text += "ansible-playbook -i folder site.yml -l a\n```\n[self](#a-b-c--d) [web](https://example.com/a)\n"
    assert list(documentation.links(text)) == [("y.md", "z"), ("", "a-b-c--d")]
    assert documentation.targets(text) == {"staging", "bake"}
    assert documentation.playbooks(text) == {"site.yml"}
    assert documentation.anchors(text) == {"a-b-c--d"}
