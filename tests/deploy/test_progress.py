"""What a user sees of a run follows from its events alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from overlaycast.deploy import journal, standing
from overlaycast.deploy.events import Event, event
from overlaycast.deploy.failures import Failure, failure, not_played
from overlaycast.deploy.journal import Journal, unit_name
from overlaycast.deploy.progress import Progress
from overlaycast.deploy.standing import Stand
from tests.deploy.golden import golden
from tests.deploy.playing import PLAYBOOKS


def followed(name: str, progress: Progress | None = None) -> tuple[Progress, list[str]]:
    progress = progress or Progress()
    return progress, [line for one in golden(name) for line in progress.hear(one)]


def test_a_run_has_a_line_for_each_play_and_change() -> None:
    progress, lines = followed("site")
    assert [line for line in lines if not line.startswith(" ")] == [
        "Check every host before any is changed",
        "Install the program",
        "Start the coordinator, and make the groups",
        "Start the peers",
        "Start the sources",
        "Wait until every member is fed",
    ], "the play of relays and backups has no hosts"
    assert lines.count("  viewer: Install the units") == 1
    # writing a token is hidden (no_log); the recap counts it
    assert sorted(progress.table()) == [
        ("server", "38", "11", "done"), ("studio", "34", "10", "done"), ("viewer", "34", "10", "done"),
    ]  # fmt: skip
    assert progress.good


def test_a_check_says_what_would_be_done() -> None:
    _, lines = followed("site", Progress(check=True))
    assert "  viewer: would: Install the units" in lines


def test_a_run_that_was_stopped_says_so() -> None:
    progress = Progress()
    for one in list(golden("site"))[:60]:
        list(progress.hear(one))
    assert {row[3] for row in progress.table()} == {"stopped"}
    assert not progress.good


def test_a_host_shows_what_it_does_now() -> None:
    progress = Progress()
    states = set()
    for one in golden("site"):
        list(progress.hear(one))
        if one.kind == "started":
            states.add((progress.hosts[one.host].state, progress.hosts[one.host].task == one.task))
    assert states == {("works", True)}
    list(progress.hear(Event("retry", "A play", "Wait", "server")))
    assert progress.hosts["server"].tries == 1


def test_failed_units_are_named_with_their_state() -> None:
    progress, lines = followed("failed-units")
    assert progress.failures == [
        Failure(
            "studio",
            "Wait for each unit",
            True,
            "overlaycast-send@news.service is failed/failed, exit-code",
            ("overlaycast-send@news.service",),
        ),
        Failure(
            "viewer",
            "Wait for each unit",
            True,
            "overlaycast-relay@news.service is failed/failed, exit-code",
            ("overlaycast-relay@news.service",),
        ),
    ]
    assert lines[-1] == ("! viewer: Wait for each unit: overlaycast-relay@news.service is failed/failed, exit-code")
    assert dict((row[0], row[3]) for row in progress.table()) == {
        "server": "no failure",
        "studio": "failed: Wait for each unit",
        "viewer": "failed: Wait for each unit",
    }
    assert not progress.good


def test_a_host_that_is_not_reached_says_why() -> None:
    progress, lines = followed("unreachable")
    assert lines == [
        "Check every host before any is changed",
        "! viewer: Gathering Facts: connect to host 10.0.3.9 port 22: No route to host",
    ]
    assert progress.failures[0].units == ()
    assert not progress.failures[0].reached
    assert ("viewer", "0", "0", "not reached: Gathering Facts") in progress.table()


@pytest.mark.parametrize(
    ("result", "why", "units"),
    [
        ({"msg": "non-zero return code", "stderr": "a\nno room left\n", "stdout": "x"},
         "non-zero return code: no room left", ()),
        ({"msg": "Task failed: Action failed: The clock is late"}, "The clock is late", ()),
        ({"msg": "not running: overlaycast-join@news.service"}, "not running: overlaycast-join@news.service",
         ("overlaycast-join@news.service",)),
        ({"msg": "The following modules failed", "failed_modules": {"setup": {"failed": True, "msg": "no Python"}}},
         "no Python", ()),
        ({"results": [{"failed": False, "msg": "good"}, {"failed": True, "msg": "bad", "item": "one"},
                      {"failed": True, "msg": "bad"}], "msg": "One or more items failed"}, "bad", ()),
        ({"results": "nonsense", "failed_modules": 7, "msg": ["no text"]}, "['no text']", ()),
        ({"status": {"ActiveState": "activating", "SubState": "start", "Result": "success",
                     "StatusText": "waits for a parent"}, "name": "overlaycast-join@news.service"},
         "overlaycast-join@news.service is activating/start: waits for a parent", ("overlaycast-join@news.service",)),
        ({}, "no reason given", ()),
    ],
)  # fmt: skip
def test_a_reason_is_one_line(result: dict[str, Any], why: str, units: tuple[str, ...]) -> None:
    found = failure(Event("failed", host="one", task="A task", result=result))
    assert (found.why, found.units) == (why, units)


def test_a_hosts_words_do_not_steer_the_terminal_and_are_bounded() -> None:
    found = failure(Event("failed", host="one", result={"msg": "\x1b[2Jall is well\u202e" + "x" * 10_000}))
    assert found.why.startswith("?[2Jall is well?xxx")
    assert len(found.why) == 600


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("[WARNING]: Failed to parse inventory with 'auto' plugin: x\n[WARNING]: Failed to parse inventory with 'yaml'"
         " plugin: YAML parsing failed: no ']'.\nOrigin: /inv/hosts.yml:3:1\n[ERROR]: Completely failed to parse\n",
         "line 3: YAML parsing failed: no ']'."),
        (" [WARNING]:  * Failed to parse /inv/hosts.yml with yaml plugin: Syntax Error\n", "Syntax Error"),
        ("ERROR! Specified hosts and/or --limit does not match any hosts\n",
         "Specified hosts and/or --limit does not match any hosts"),
        ("Killed\n", "Killed"),
        ("", "Ansible says nothing"),
    ],
)  # fmt: skip
def test_why_ansible_did_not_play_is_one_line(words: str, said: str) -> None:
    assert not_played(words) == said


def test_the_status_has_each_unit_in_its_own_words() -> None:
    stand = Stand()
    for one in golden("status"):
        stand.hear(one)
    rows = {row[:3]: row[3:] for row in stand.rows()}
    version, said = rows["server", "overlaycast-coordinator", "active"]
    assert version == "99.0"
    assert said.startswith("listens on 0.0.0.0:8470; 1 group")
    assert rows["studio", "overlaycast-send@news", "failed"] == ("99.0", "")
    view = stand.view()
    assert view["hosts"]["viewer"]["units"][0]["state"] == "failed"
    assert view["groups"] == {"news": None}, "this run printed the tree for people"
    assert json.loads(json.dumps(view)) == view
    stand.trees["news"] = '{"members": []}'
    assert stand.view()["groups"] == {"news": {"members": []}}


def test_the_status_of_a_host_that_is_not_reached() -> None:
    stand = Stand()
    for one in golden("unreachable"):
        stand.hear(one)
    assert ("viewer", "", "not reached", "", "") in stand.rows()


def test_lines_of_journals_come_with_their_host_and_where_to_go_on() -> None:
    told = Journal()
    text = "2026-11-29T12:00:00+0000 one overlaycast[7]: fed\x1b[2J\n-- Boot 12 --\n-- cursor: s=1;i=2"
    heard = Event("ok", task=journal.JOURNAL_TASK, host="one", result={"stdout": text})
    assert list(told.hear(heard)) == [("one", "2026-11-29T12:00:00+0000 one overlaycast[7]: fed?[2J")]
    assert told.cursors == {"one": "s=1;i=2"}
    assert list(told.hear(Event("ok", task="Another task", host="one", result={"stdout": "x"}))) == []


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("join@news", "overlaycast-join@news.service"),
        ("overlaycast-coordinator.service", "overlaycast-coordinator.service"),
        ("join@*", "overlaycast-join@*"),
        ("*", "overlaycast-*"),
    ],
)
def test_units_may_be_named_short(text: str, unit: str) -> None:
    assert unit_name(text) == unit


@pytest.mark.parametrize("text", ["", "-f", "a b", "x" * 300, "join@news;reboot"])
def test_what_can_be_no_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="accepted is a unit"):
        unit_name(text)


@pytest.mark.parametrize(
    "raw", [{}, {"event": "runner_on_ok"}, {"event": 7, "event_data": {}}, {"event": "runner_on_ok", "event_data": 1},
            {"event": "verbose", "event_data": {}}],
)  # fmt: skip
def test_what_is_no_event_is_passed_over(raw: dict[str, Any]) -> None:
    assert event(raw) is None


def test_a_diff_is_shown_as_ansible_has_it() -> None:
    raw = {
        "event": "runner_on_file_diff",
        "stdout": "\r\n--- before\r\n+a = 1\x1b[2J\r\n",
        "event_data": {"host": "one"},
    }
    found = event(raw)
    assert found is not None
    assert list(Progress().hear(found)) == ["    --- before", "    +a = 1?[2J"]


def test_a_failure_that_the_playbook_ignores_is_none() -> None:
    raw = {"event": "runner_on_failed", "event_data": {"host": "one", "ignore_errors": True, "res": {"msg": "no"}}}
    found = event(raw)
    assert found is not None
    progress = Progress()
    assert list(progress.hear(found)) == []
    assert progress.failures == []


def test_tasks_that_are_read_are_the_playbooks() -> None:
    names = {
        task["name"]
        for path in (PLAYBOOKS / "roles").glob("*/tasks/*.yml")
        for task in yaml.safe_load(path.read_text())
    }
    assert {standing.UNITS_TASK, standing.VERSION_TASK, standing.TREES_TASK, journal.JOURNAL_TASK} <= names
