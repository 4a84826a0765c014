"""Nothing in the documentation leads nowhere, and what is shown to be copied can be read."""

import re
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ocn_permission_agent.config.source import collect
from ocn_permission_agent.store.migrations import shipped_migrations

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
CODE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def targets(page: Path) -> Iterator[str]:
    """Links of a page to other files or to headings, code left out."""
    prose = re.sub(r"`[^`\n]*`", "", CODE.sub("", page.read_text()))
    return (target for target in LINK.findall(prose) if not target.startswith(("https://", "http://")))


def anchors(page: Path) -> set[str]:
    """What a page's headings are called in links: lower case, punctuation left out, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for target in targets(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.is_relative_to(ROOT) or not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(target)

    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_configuration_that_is_shown_has_only_known_keys(page: Path) -> None:
    for text in blocks(page, "toml"):
        assert collect(tomllib.loads(text), {}).problems == ()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_code_block_ends(page: Path) -> None:
    assert len(re.findall(r"^ *```", page.read_text(), re.MULTILINE)) % 2 == 0


def test_every_query_that_is_shown_fits_the_schema() -> None:
    queries = [
        query
        for page in PAGES
        for query in re.findall(r'^sqlite3 [^\n]*"\n(.*?)"\n', page.read_text(), re.MULTILINE | re.DOTALL)
    ]
    with closing(sqlite3.connect(":memory:")) as store:
        for step in shipped_migrations("sqlite"):
            store.executescript(step.sql)

        assert [store.execute(query).fetchall() for query in queries] == [[]] * len(queries) != []


def test_every_page_is_reached_from_the_readme() -> None:
    reached, ahead = set[Path](), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        found = {(page.parent / target.partition("#")[0]).resolve() for target in targets(page)}
        ahead += [each for each in found if each.suffix == ".md" and each not in reached]

    assert set(PAGES) <= reached
