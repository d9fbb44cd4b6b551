"""`group set`, `group apply` and `group create` over again, against a real coordinator."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.coordinator.test_command import command, coordinator, group

DECLARED = """\
groups:
  news:
    settings: {rate_mbit: 4, improve_s: 20}
    token_ttl: 600
  slides:
    settings: {mode: file}
"""


class Place:
    """A coordinator, its folder, and a file that declares groups."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.file, self.tokens = folder / "groups.yaml", folder / "tokens"

    def group(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return group(self.folder / "state", self.port, *map(str, words))

    def apply(self, text: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        self.file.write_text(text)
        return self.group("apply", self.file, *words)

    def report(self, text: str, *words: str | Path, code: int = 0) -> dict[str, Any]:
        done = self.apply(text, "--json", *words)
        assert done.returncode == code, done.stderr
        found = json.loads(done.stdout)
        assert isinstance(found, dict)
        return found

    def settings(self, name: str) -> dict[str, Any]:
        found = json.loads(self.group("show", name, "--json").stdout)["settings"]
        assert isinstance(found, dict)
        return found

    def names(self) -> list[str]:
        return [one["name"] for one in json.loads(self.group("list", "--json").stdout)["groups"]]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with coordinator(tmp_path / "state") as (_, port):
        yield Place(tmp_path, port)


def test_a_file_is_applied_once_and_then_changes_nothing(place: Place) -> None:
    assert place.report(DECLARED, "--check") == {
        "groups": {name: {"created": True, "changed": {}} for name in ("news", "slides")}, "left": [], "changed": True
    }  # fmt: skip
    assert place.names() == []
    first = place.report(DECLARED, "--token-dir", place.tokens)
    files = {name: place.tokens / f"{name}.token" for name in ("news", "slides")}
    assert first["groups"] == {
        name: {"created": True, "changed": {}, "token_file": str(file)} for name, file in files.items()
    }
    for file in files.values():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(file.read_text().strip()) == 32
    assert stat.S_IMODE(place.tokens.stat().st_mode) == 0o700
    assert sorted(place.tokens.iterdir()) == sorted(files.values())
    assert (place.settings("news")["rate_mbit"], place.settings("slides")["silence_ms"]) == (4, 1000)
    again = place.report(DECLARED, "--token-dir", place.tokens)
    assert again == {
        "groups": {name: {"created": False, "changed": {}} for name in files}, "left": [], "changed": False
    }  # fmt: skip
    assert place.apply(DECLARED).stdout == "news: unchanged\nslides: unchanged\n"


def test_what_may_change_changes_and_a_group_with_a_refusal_stays_as_it_is(place: Place) -> None:
    assert place.apply(DECLARED).returncode == 0
    wanted = DECLARED.replace("improve_s: 20", "improve_s: 30").replace("{mode: file}", "{mode: live, flag_s: 9}")
    checked = place.report(wanted, "--check", code=2)
    assert (checked["changed"], place.settings("news")["improve_s"]) == (True, 20)
    done = place.apply(wanted)
    assert done.returncode == 2
    assert done.stdout == "news: improve_s: changed from 20 to 30\n"
    [line] = done.stderr.splitlines()
    assert line == (
        f"overlaycast: {place.file}:6: groups.slides.settings.mode: cannot change while the group runs:"
        " the source and the receivers were started for it (now file; declared live)"
    )
    assert place.settings("news")["improve_s"] == 30
    assert place.settings("slides")["flag_s"] == 3
    assert place.report(wanted, code=2)["changed"] is False


def test_what_is_not_declared_stays(place: Place) -> None:
    assert place.apply(DECLARED).returncode == 0
    less = "groups:\n  news:\n    settings: {rate_mbit: 5}\n"
    assert place.apply(less).stdout == "news: rate_mbit: changed from 4 to 5\nslides: not declared, left as it is\n"
    assert (place.settings("news")["improve_s"], place.names()) == (20, ["news", "slides"])
    nothing = place.apply("groups: {}\n")
    assert nothing.stdout == "".join(f"{name}: not declared, left as it is\n" for name in ("news", "slides"))


def test_no_file_of_a_token_is_replaced_unasked(place: Place) -> None:
    place.tokens.mkdir()
    (place.tokens / "news.token").write_text("precious")
    for more in (["--check"], []):
        done = place.apply(DECLARED, "--token-dir", place.tokens, *more)
        assert done.returncode == 2
        [line] = done.stderr.splitlines()
        assert line.startswith(f"overlaycast: {place.file}:2: groups.news: token-dir: {place.tokens}/news.token exists")
    assert (place.tokens / "news.token").read_text() == "precious"
    assert place.names() == ["slides"]
    assert place.apply(DECLARED, "--token-dir", place.tokens, "--overwrite").returncode == 0
    assert len((place.tokens / "news.token").read_text().strip()) == 32


def test_a_token_that_has_no_place_leaves_no_group_behind(place: Place) -> None:
    (place.folder / "file").write_text("")
    done = place.apply(DECLARED, "--token-dir", place.folder / "file")
    assert (done.returncode, done.stdout) == (2, "")
    assert all("token-dir" in line for line in done.stderr.splitlines())
    words = command("group", "apply", place.file, "--coordinator", f"http://127.0.0.1:{place.port}")
    words += ["--admin-token-file", str(place.folder / "state" / "admin.token")]
    full = subprocess.run(
        ["bash", "-c", '"$@" >/dev/full', "_", *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert full.returncode == 1
    assert "deleted again, as their tokens would be lost: news, slides" in full.stderr
    assert place.names() == []


def test_set_changes_all_that_are_given_or_none(place: Place) -> None:
    assert place.group("create", "news").returncode == 0
    checked = place.group("set", "news", "improve-s=20", "--check")
    assert checked.stdout == "improve_s: would change from 10 to 20\n"
    done = place.group("set", "news", "improve_s=20", "rate_mbit=4")
    assert done.stdout == "rate_mbit: changed from 8 to 4\nimprove_s: changed from 10 to 20\n"
    assert place.group("set", "news", "improve_s=20").stdout == "unchanged\n"
    for words, said in [
        (["improve_s=30", "strategy=location"], "strategy: cannot change while the group runs: members were located"),
        (["improve_s=30", "strategy=location", "--check"], "strategy: cannot change while the group runs"),
        (["improve_s=-3"], "group set: improve_s: Input should be greater than or equal to 0"),
        (["colour=red"], "group set: colour: unknown setting; accepted: mode"),
        (["improve_s"], "group set: improve_s: accepted: KEY=VALUE"),
    ]:
        refused = place.group("set", "news", *words)
        assert refused.returncode == 2, words
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert place.settings("news")["improve_s"] == 20
    assert "no group none" in place.group("set", "none", "improve_s=3").stderr


def test_a_group_that_exists_the_same_is_as_good_as_made(place: Place) -> None:
    made = place.group("create", "news", "--set", "rate_mbit=4")
    assert len(made.stdout.strip()) == 32
    again = place.group("create", "news", "--set", "rate_mbit=4.0")
    assert (again.returncode, again.stdout) == (0, "")
    assert "exists with these settings; its token was printed when it was made" in again.stderr
    assert json.loads(place.group("create", "news", "--set", "rate_mbit=4", "--json").stdout)["name"] == "news"
    other = place.group("create", "news", "--set", "improve_s=3")
    assert (other.returncode, other.stdout) == (2, "")
    [line] = other.stderr.splitlines()
    assert "rate_mbit is 4, not 8 (the default); improve_s is 10, not 3;" in line
    assert "group set" in line
