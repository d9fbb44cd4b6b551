"""The pages say what the code says, in words that are spelt right, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from markdown.extensions.toc import slugify
from pydantic import BaseModel
from spellchecker import SpellChecker

from overlaycast.coordinator.web.http import admin_routes, open_routes
from overlaycast.coordinator.web.upkeep import upkeep_routes
from overlaycast.wire.frames import Kind
from overlaycast.wire.group import GroupSettings, changing
from overlaycast.wire.journal import Entry
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage
from overlaycast.wire.text import LATER

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"```.*?```|<!--.*?-->|^    [^\n]*|`[^`]*`|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
WORD = re.compile(r"(?<![\w.-])[A-Za-z][A-Za-z']+(?![\w-]|\.[a-z])")
FOLDERS = ("benchmarks", "experiments", "overlaycast", "scripts", "tests", "topologies", "wireshark")
TRACKED = [str(path.relative_to(ROOT)) for folder in FOLDERS for path in (ROOT / folder).rglob("*.*")]
DICTIONARY = SpellChecker()
DICTIONARY.word_frequency.load_words((ROOT / "docs" / "words.txt").read_text().split())


def settings_table() -> str:
    """Return the table of a group's settings as docs/operate.md shows it."""
    rows = [
        f"| `{name}` | {field.default} | {field.description} | {later(name)} |"
        for name, field in GroupSettings.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning | a new value counts |", "|---|---|---|---|", *rows, ""])


def later(name: str) -> str:
    """Return what the table says of a new value while the group runs."""
    return changing(name).counts if changing(name).may else f"never: {changing(name).counts}"


def test_every_group_setting_is_described() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    assert settings_table() in page, f"docs/operate.md should hold:\n{settings_table()}"


def protocol(name: str) -> str:
    """Return a section of docs/protocol.md."""
    return (ROOT / "docs" / "protocol.md").read_text().split(f"\n## {name}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[tuple[str, set[str]]]:
    """Return the rows of a section's tables: what each is about, and the words in its second column."""
    found = re.findall(r"^\| `([^`]+)` \|([^|]*)\|", text, re.MULTILINE)
    return [(name, set(re.findall(r"`([^`]+)`", second))) for name, second in found]


def fields(model: type[BaseModel]) -> tuple[str, set[str]]:
    """Return a message's or an entry's kind and its other fields, as JSON names them."""
    names = {field.serialization_alias or name for name, field in model.model_fields.items()}
    return model.model_fields["kind"].default, names - {"kind", "t"}


def test_every_message_is_described_with_its_fields() -> None:
    assert rows(protocol("Control messages")) == [
        fields(model) for model in (*MemberMessage.__args__, *CoordinatorMessage.__args__)
    ]


def test_fields_that_came_later_are_named() -> None:
    assert [name for name in sorted(LATER) if f"`{name}`" not in protocol("Control messages")] == []


def test_every_journal_entry_is_described_with_its_fields() -> None:
    described = [(kind, names - {"p50", "p99", "max"}) for kind, names in rows(protocol("Journal entries"))]
    assert described == [fields(model) for model in Entry.__args__]


def test_every_frame_is_described() -> None:
    described = re.findall(r"^\| (\d+) `([A-Z]+)` \|", protocol("Frames"), re.MULTILINE)
    assert described == [(str(int(kind)), kind.name) for kind in Kind]


def test_every_route_is_described() -> None:
    routes = {
        f"{method} {route.path}"
        for route in (*open_routes.routes, *admin_routes.routes, *upkeep_routes.routes)
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert {route for route, _ in rows(protocol("HTTP API"))} == routes


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_what_is_in_them_exist(page: Path) -> None:
    """A file may be named by the end of its path; what a page finds "in" a file is a word of that file."""
    text = re.sub(r"\s+", " ", page.read_text())
    for name in re.findall(r"`([\w/]+\.(?:py|yaml|lua))`", text):
        assert [path for path in TRACKED if f"/{path}".endswith(f"/{name}")], name
    for word, name in re.findall(r"`([A-Za-z_]+)` in `(overlaycast/[\w/]+\.py)`", text):
        assert re.search(rf"\b{word}\b", (ROOT / name).read_text()), f"{word} in {name}"


def anchors(page: Path) -> set[str]:
    """Return what links into a page may name: its headings, as MkDocs writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {slugify(re.sub(r"[`*]", "", heading), "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if "://" in target or target.startswith("mailto:"):
            continue
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_are_in_the_dictionary(page: Path) -> None:
    text = CODE.sub(" ", page.read_text()).replace("\u2019", "'")
    words = {word.lower().rstrip("'").removesuffix("'s") for word in WORD.findall(text) if word[1:].islower()}
    assert sorted(DICTIONARY.unknown(words)) == [], "misspelt, or to be added to docs/words.txt"


def test_every_package_has_its_idea_told_to_contributors() -> None:
    told = re.findall(r"^\| `([a-z/]+)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    packages = [path.parent.relative_to(ROOT / "overlaycast") for path in (ROOT / "overlaycast").rglob("__init__.py")]
    assert sorted(told) == sorted(str(package) for package in packages if str(package) != ".")
