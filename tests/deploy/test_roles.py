"""What the roles make of an inventory, worked out by the real Ansible on this host, and read by the real options."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from overlaycast.agent.options import JoinOptions, RelayOptions, SendOptions
from overlaycast.deploy import runner
from overlaycast.deploy.events import Event
from overlaycast.settings import Settings, load
from tests.deploy.playing import PLAYBOOKS

ROLES: Final = PLAYBOOKS / "roles"
MODELS: Final[dict[str, type[Settings]]] = {"send": SendOptions, "relay": RelayOptions, "join": JoinOptions}
PLAYS: Final = {"source": "sources", "relay": "relays:backups", "peer": "peers"}
FORMER: Final = {
    "server": ["overlaycast-coordinator.service"],
    "studio": ["overlaycast-coordinator.service", "overlaycast-send@news.service"],
    "relay-1": ["overlaycast-join@news.service"],
    "berlin-1": ["overlaycast-join@film.service", "overlaycast-join@news.service"],
}


def plays() -> list[dict[str, Any]]:
    """Return plays that change nothing: each prints what a role would write, or take away."""
    common = {"gather_facts": False, "become": False}
    files = [str(ROLES / "common" / "vars" / "main.yml")]
    told = "{'former': overlaycast_former, 'leftovers': overlaycast_leftovers}"
    found: list[dict[str, Any]] = [
        {
            "name": "former",
            "hosts": "coordinator:sources:relays:backups:peers",
            "vars_files": files,
            "vars": {"overlaycast_present": "{{ present[inventory_hostname] | default([]) }}"},
            "tasks": [{"name": "Tell", "ansible.builtin.debug": {"msg": f"{{{{ {told} }}}}"}}],
            **common,
        }
    ]
    for role, hosts in PLAYS.items():
        tasks = yaml.safe_load((ROLES / role / "tasks" / "main.yml").read_text())
        [task] = [one for one in tasks if "overlaycast_member_verb" in one.get("vars", {})]
        template = f"{{{{ lookup('ansible.builtin.template', '{ROLES}/common/templates/member.toml.j2') }}}}"
        tell = {"name": "Tell", "ansible.builtin.debug": {"msg": template}, "loop": "{{ overlaycast_member_groups }}"}
        found.append(
            {"name": role, "hosts": hosts, "vars_files": files, "vars": task["vars"], "tasks": [tell], **common}
        )
    return found


def example(folder: Path) -> Path:
    """Return the example with the roles' defaults, which count less than all that an inventory says."""
    there = folder / "inventory"
    shutil.copytree(PLAYBOOKS / "inventory" / "example", there)
    values: dict[str, Any] = {}
    for path in sorted(ROLES.glob("*/defaults/main.yml")):
        values |= yaml.safe_load(path.read_text())
    every = there / "group_vars" / "all.yml"
    every.write_text(yaml.safe_dump(values | yaml.safe_load(every.read_text())))
    return there


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Any]:
    """What was told by play and host: of members the text of their settings."""
    heard: dict[tuple[str, str], Any] = {}

    def hear(event: Event) -> None:
        if event.kind in ("ok", "failed"):
            results = event.result.get("results", [event.result])
            heard[event.play, event.host] = results[0]["msg"]

    folder = tmp_path_factory.mktemp("roles")
    extra = {"present": FORMER, "ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    outcome = runner.run(plays(), example(folder), on_event=hear, extra=extra, folder=folder / "private")
    assert outcome.good, outcome.words
    return heard


@pytest.mark.parametrize(
    ("play", "host", "verb", "wanted"),
    [
        ("source", "studio", "send", {"file": "/srv/news.ts"}),
        ("relay", "relay-1", "relay", {"backup": False}),
        ("relay", "spare", "relay", {"backup": True}),
        ("peer", "berlin-1", "join", {"output": "/var/lib/overlaycast-news/news.ts"}),
        ("peer", "paris-2", "join", {"advertise": "203.0.113.112"}),
    ],
)
def test_each_member_can_read_what_its_role_writes(
    told: dict[tuple[str, str], Any], tmp_path: Path, play: str, host: str, verb: str, wanted: dict[str, Any]
) -> None:
    text = told[play, host]
    (tmp_path / "news.toml").write_text(text)
    assert list(tomllib.loads(text)) == [verb]
    token = ["--token", "secret"]
    options = load(MODELS[verb], ["news", "--config", str(tmp_path / "news.toml"), *token], f"overlaycast {verb}")
    assert {name: getattr(options, name) for name in wanted} == wanted
    read: dict[str, Any] = dict(options)
    assert read["name"] == host
    assert read["coordinator"] == "http://192.0.2.10:8470"
    assert str(read["listen"]) == f"{read['advertise']}:8471"


def test_what_a_host_had_before_is_found(told: dict[tuple[str, str], Any]) -> None:
    former = {host: of["former"] for (play, host), of in told.items() if play == "former" and of["former"]}
    assert former == {
        "studio": ["overlaycast-coordinator.service"],
        "relay-1": ["overlaycast-join@news.service"],
        "berlin-1": ["overlaycast-join@film.service"],
    }
    leftovers = {host: of["leftovers"] for (play, host), of in told.items() if play == "former" and of["leftovers"]}
    assert leftovers == {
        "studio": [
            "/etc/overlaycast/coordinator.toml",
            "/etc/overlaycast/groups.yaml",
            "/etc/systemd/system/overlaycast-coordinator.service",
            "/etc/systemd/system/overlaycast-trace.socket",
            "/etc/systemd/system/overlaycast-trace@.service",
        ],
        "relay-1": ["/etc/systemd/system/overlaycast-join@.service"],  # its settings are written anew
        "berlin-1": ["/etc/overlaycast/film.token", "/etc/overlaycast/film.toml"],  # it is still a peer of news
    }
