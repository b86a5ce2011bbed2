"""Links of the pages lead somewhere, and the short answers of a page are those of its sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def plain(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)


def sections(page: Path) -> dict[str, str]:
    """Return the text below each heading, by the name that a link gives it, down to the next heading of its level or above."""
    found, lines = {}, page.read_text().splitlines()
    heads = [(number, *re.match(r"(#+) (.*)", line).groups()) for number, line in enumerate(lines) if re.match(r"#+ ", line)]  # type: ignore[union-attr]
    for place, (number, level, title) in enumerate(heads):
        end = next((later for later, other, _ in heads[place + 1 :] if len(other) <= len(level)), len(lines))
        found[re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")] = "\n".join(lines[number:end])
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """Links to the web are left to the reader."""
    for target in LINK.findall(plain(page)):
        if "://" not in target:
            name, _, anchor = target.partition("#")
            file = page.parent / name if name else page
            assert file.exists(), target
            assert not anchor or anchor in sections(file), target


def test_the_short_answers_about_synthesis_are_those_of_its_sections() -> None:
    """Every figure of the table stands in a section that its line names."""
    page = ROOT / "docs" / "synthesis.md"
    lines = [line for line in sections(page)["in-short"].splitlines() if line.startswith("| ") and "](" in line]
    assert len(lines) >= 8
    for line in lines:
        targets = [target.partition("#") for target in LINK.findall(line)]
        named = "\n".join(sections(page.parent / name if name else page)[anchor] for name, _, anchor in targets)
        for figure in re.findall(r"[+−]?\d*[.,]?\d+", line.split("|")[2]):
            assert figure in named, f"{figure} of: {line}"
