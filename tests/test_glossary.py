"""Every kind of event and of journal entry is explained, and the table of figures names code that exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
from pydantic import BaseModel

from overlaycast.wire import journal

ROOT = Path(__file__).parent.parent
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
BACKGROUND = (ROOT / "docs" / "background.md").read_text()
STEPS = {
    *range(402, 413, 2), 416, 418, *range(500, 513, 2), 700, 702, 704, 706, 708, 710,
    *range(802, 819, 2), 902, 904, 910, 912, 914, 920, 922,
}  # fmt: skip


def event_kinds() -> Iterator[str]:
    """Yield what the coordinator and its decisions note: the kind is a literal of the call, or told to ``leave``."""
    for folder in ("overlay", "coordinator"):
        for path in (ROOT / "overlaycast" / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(ast.Attribute(attr="note" | "add"), args):
                        yield from literals(args[1:3])
                    case ast.Call(ast.Attribute(attr="leave"), args):
                        yield from literals(args[3:4])
                    case ast.Assign([ast.Name("kind")], value):
                        yield from literals(ast.walk(value))


def literals(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the texts among these."""
    yield from (
        node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value
    )


def section(name: str) -> set[str]:
    """Return the kinds that a section of the glossary explains."""
    text = GLOSSARY.split(f"\n## {name}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", text, re.MULTILINE))


def test_every_event_is_explained_and_no_other() -> None:
    assert section("Events") == set(event_kinds())


def test_every_journal_entry_is_explained_and_no_other() -> None:
    models = [one for one in vars(journal).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    kinds = {model.model_fields["kind"].default for model in models if "kind" in model.model_fields}
    assert section("Journal entries") == kinds


def test_terms_are_in_order_and_explained_once() -> None:
    parts = [re.findall(r"^\| `?([a-z -]+?)`? \|", part, re.MULTILINE)[1:] for part in GLOSSARY.split("\n## ")[1:]]
    assert [part for part in parts if part != sorted(part)] == []
    terms = [term for part in parts[:-2] for term in part]
    assert len(terms) == len(set(terms))


@pytest.mark.parametrize("name", sorted(set(re.findall(r"`(overlaycast\.[\w.]+:[\w.]+)`", BACKGROUND))))
def test_the_code_of_a_figure_exists(name: str) -> None:
    module, what = name.split(":")
    attrgetter(what)(import_module(module))


def test_every_step_of_the_figures_has_a_row() -> None:
    rows = re.findall(r"^\| Fig\. \w+ \| ([\d, ]+)[ |\u2013]", BACKGROUND, re.MULTILINE)
    assert STEPS - {int(step) for row in rows for step in row.split(",") if step.strip()} == set()
