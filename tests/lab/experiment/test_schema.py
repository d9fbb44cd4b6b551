"""The published schema is the models' own, and every experiment keeps to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from overlaycast.lab.experiment import schema
from tests.lab.made_up import ROOT

FILES = sorted((ROOT / "experiments").glob("*.yaml"))
PUBLISHED = ROOT / "experiments" / "schema.json"


def complaints(values: Any) -> list[str]:
    """Return what the published schema says of a document."""
    validator = Draft202012Validator(json.loads(PUBLISHED.read_text()))
    return [error.message for error in validator.iter_errors(values)]


def test_published_schema_is_current() -> None:
    assert PUBLISHED.read_text() == schema.text(), "run: overlaycast lab schema experiments/schema.json"


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(schema.schema())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_experiments_keep_to_it_and_name_it(file: Path) -> None:
    text = file.read_text()
    assert text.splitlines()[0] == "# yaml-language-server: $schema=schema.json"
    assert complaints(yaml.safe_load(text)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "-"},
        {"colour": "red"},
        {"stream": {"kind": "smoke"}},
        {"timeline": [{"at_s": 1, "action": "hug", "target": "x"}]},
        {"timeline": [{"at_s": 1, "action": "link-loss", "target": "x"}]},
        {"expect": [{"metric": "luck", "op": "==", "limit": 0}]},
        {"expect": []},
        {"arrival": {"kind": "flood"}},
    ],
)
def test_it_refuses_what_is_wrong(wrong: dict[str, Any]) -> None:
    assert complaints({**yaml.safe_load(FILES[0].read_text()), **wrong}) != []
