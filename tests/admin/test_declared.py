"""A file of declared groups: what it may hold, and how each mistake is told."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from overlaycast.admin.declared import read
from overlaycast.errors import ConfigError


def declare(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "groups.yaml"
    file.write_text(text)
    return file


def test_groups_have_settings_and_a_life_of_their_token(tmp_path: Path) -> None:
    news = "  news:\n    settings: {mode: file, rate_mbit: '20'}\n    token_ttl: 60\n"
    text = f"groups:\n{news}  plain:\n  none:\n    settings:\n"
    _, declared = read(declare(tmp_path, text))
    made = declared.groups["news"]
    assert (made.settings.model_dump(exclude_unset=True), made.token_ttl) == ({"mode": "file", "rate_mbit": 20}, 60)
    for name in ("plain", "none"):
        assert declared.groups[name].settings.model_dump(exclude_unset=True) == {}
        assert declared.groups[name].token_ttl is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1: document: empty; accepted is a mapping of fields"),
        ("- news\n", "1: document: a mapping is accepted, with the fields groups"),
        ("news: {}\n", "1: news: unknown field 'news'; accepted: groups"),
        ("groups: [news]\n", "1: groups: a mapping is accepted (got ['news'])"),
        ("groups:\n  news: 3\n", "2: groups.news: a mapping is accepted, with the fields settings, token_ttl"),
        ("groups:\n  news:\n    colour: red\n", "3: groups.news.colour: unknown field 'colour'; accepted: settings"),
        ("groups:\n  news:\n    settings:\n      rate_mbit: fast\n", "4: groups.news.settings.rate_mbit: a number"),
        ("groups:\n  news:\n    settings:\n      rate: 8\n", "4: groups.news.settings.rate: unknown field 'rate'"),
        ("groups:\n  news:\n    settings:\n      mode: both\n", "4: groups.news.settings.mode: 'both' is unknown"),
        ("groups:\n  news:\n    token_ttl: -1\n", "3: groups.news.token_ttl: "),
        ("groups:\n  a b: {}\n", "2: groups.a b: "),
        ("groups:\n  news: {}\n  news: {}\n", "3: groups.news: given twice"),
        ("groups:\n\tnews: {}\n", "2: not YAML: "),
        ("groups: &a {news: *a}\n", "1: *a: aliases are not accepted"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = declare(tmp_path, text)
    with pytest.raises(ConfigError) as error:
        read(file)
    line = str(error.value)
    assert line.startswith(f"{file}:{said}"), line
    assert "\n" not in line


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        read(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (b"groups: {news: {colour: 1}}", "^stdin:1: groups.news.colour: unknown field"),
        (b"\xff", "^stdin: not UTF-8 text"),
        (b"#" * ((1 << 20) + 1), "^stdin: larger than"),
    ],
)
def test_standard_input_is_read_like_a_file(monkeypatch: pytest.MonkeyPatch, given: bytes, said: str) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"groups: {news: {}}")))
    assert list(read(Path("-"))[1].groups) == ["news"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    with pytest.raises(ConfigError, match=said):
        read(Path("-"))
