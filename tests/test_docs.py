"""The pages say what the code says, in words that are spelt right, and every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown.extensions.toc import slugify
from spellchecker import SpellChecker

from overlaycast.wire.frames import Kind
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import CoordinatorMessage, MemberMessage

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
CODE = re.compile(r"```.*?```|<!--.*?-->|^    [^\n]*|`[^`]*`|\]\([^)]*\)", re.DOTALL | re.MULTILINE)
WORD = re.compile(r"(?<![\w.-])[A-Za-z][A-Za-z']+(?![\w-]|\.[a-z])")
DICTIONARY = SpellChecker()
DICTIONARY.word_frequency.load_words((ROOT / "docs" / "words.txt").read_text().split())


def settings_table() -> str:
    """Return the table of a group's settings as docs/operate.md shows it."""
    rows = [
        f"| `{name}` | {field.default} | {field.description} |" for name, field in GroupSettings.model_fields.items()
    ]
    return "\n".join(["| setting | default | meaning |", "|---|---|---|", *rows, ""])


def test_every_group_setting_is_described() -> None:
    page = (ROOT / "docs" / "operate.md").read_text()
    assert settings_table() in page, f"docs/operate.md should hold:\n{settings_table()}"


def test_every_message_and_frame_is_described() -> None:
    page = (ROOT / "docs" / "protocol.md").read_text()
    kinds = [model.model_fields["kind"].default for model in (*MemberMessage.__args__, *CoordinatorMessage.__args__)]
    assert [kind for kind in kinds if f"`{kind}`" not in page] == []
    assert [kind.name for kind in Kind if f"`{kind.name}`" not in page] == []


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
