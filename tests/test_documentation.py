"""Links of the pages lead somewhere, and the short answers of a page are those of its sections."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import pytest
from pydantic import BaseModel

from flows.settings import Settings

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


def defaults(model: type[BaseModel], prefix: str = "") -> dict[str, set[str]]:
    """Return the defaults of every key of the recipe, by its name alone and by its names from every level, e.g. `least_power` and `release.least_power`."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name, field in model.model_fields.items():
        value = field.get_default(call_default_factory=True)
        found[name].add(str(value).lower())
        found[prefix + name].add(str(value).lower())
        for key, values in defaults(type(value), f"{prefix}{name}.").items() if isinstance(value, BaseModel) else ():
            found[key] |= values
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_default_that_a_page_states_is_the_recipes(page: Path) -> None:
    """Written as `key` (value): .9 is 0.9. A key of several tables may have the default of any."""
    known = defaults(Settings)
    for key, value in re.findall(r"`([a-z_.]+)` \((\.?\d[\d.]*|true|false)\b", page.read_text()):
        if key in known:
            assert (f"0{value}" if value.startswith(".") else value) in known[key], key


def test_the_page_on_synthesis_states_defaults() -> None:
    """Else the test above would look at nothing."""
    text = (ROOT / "docs" / "synthesis.md").read_text()
    assert "`most_views` (250)" in text
    assert defaults(Settings)["synthesis.plan.most_views"] == {"250"}
