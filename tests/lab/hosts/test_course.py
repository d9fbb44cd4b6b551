"""The course of a run on real hosts, with hands that only note what they are asked."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import LabError, MistakesError
from overlaycast.lab.experiment.experiment import SyntheticStream
from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.hosts import course
from overlaycast.lab.hosts.hands import Hands, HostsError, Orders, Stopped
from overlaycast.lab.recording.recording import Recording
from overlaycast.lab.run.progress import PlainProgress
from overlaycast.wire.journal import encode
from tests.lab import made_up
from tests.lab.hosts.test_mapping import real
from tests.lab.hosts.test_orders import plan
from tests.lab.hosts.test_recorded import deed
from tests.lab.made_up import T0

FACTS = {
    "version": "0.1.0",
    "user": True,
    "ports": [8600, 8601],
    "routers": ["10.0.0.1"],
    "kernel": "6.1",
    "beside": [],
}
SEAT = {"role": "peer", "primary": True, "depth": 1, "rank": 1, "standbys": [], "state": "ACTIVE"}


class Noting(Hands):
    """Hands that note each order, and answer as hosts would."""

    def __init__(self, journals: dict[str, str], deeds: dict[str, str], fails: str = "", **facts: Any) -> None:
        super().__init__(Path("inv"), "one-1", lambda: self.stopped, Path("unused"))
        self.journals, self.deeds, self.fails = journals, deeds, fails
        self.facts: dict[str, Any] = {**FACTS, "lacks": {}, "room_mib": 9999, **facts}
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.removed = self.stopped = False

    def carry(self, hosts: Sequence[str]) -> None:
        self.carried |= set(hosts)

    def ask(self, *rounds: Orders) -> dict[str, list[dict[str, Any]]]:
        answers: dict[str, list[dict[str, Any]]] = {}
        for one in rounds:
            for host, orders in one.items():
                for order in orders:
                    self.asked.append((host, order["verb"], dict(order)))
                    if order["verb"] == self.fails:
                        raise HostsError([f"{host}: no", f"{host}: no either"])
                    answers.setdefault(host, []).append(self._answer(host, order))
        return answers

    def _answer(self, host: str, order: dict[str, Any]) -> dict[str, Any]:
        clock = {"at": T0, "offset_ms": 1.0, "uncertainty_ms": 0.1, "rtt_ms": 0.2}
        match order["verb"]:
            case "facts":
                return {**self.facts, "clock": time.time()}
            case "clock":
                return clock
            case "hear":
                return {"heard": 3 if host == "studio" else 0}
            case "wait":
                return {"t": T0}
            case "look":
                members = [
                    {"id": 1, "name": "source", **SEAT, "role": "source", "parent": None},
                    {"id": 2, "name": "202a", **SEAT, "parent": 1},
                    {"id": 3, "name": "202b", **SEAT, "parent": 2},
                ]
                return {"tree": {"group": "g", "epoch": 1, "members": members}, "t": T0}
            case "metrics":
                return {"metrics": None}
            case "gather":
                names = order["names"]
                seen = {"size": 1, "sha256": "00"} if "output" in order else None
                units = {name: {"MainPID": "1", "ExecMainStatus": "0"} for name in names}
                return {"units": units, "last_words": dict.fromkeys(names, ""), "received": seen}
        return {}

    def give(self, hosts: Sequence[str], file: Path, to: str) -> None:
        self.asked += [(host, "give", {"to": to}) for host in hosts]

    def share_token(self, coordinator: str, members: Sequence[str]) -> None:
        self.asked.append((coordinator, "token", {"members": list(members)}))

    def fetch(self, hosts: Sequence[str], to: Path) -> None:
        for host in hosts:
            with tarfile.open(to / f"{host}.tar.gz", "w:gz") as archive:
                texts = {"deeds.jsonl": self.deeds.get(host, ""), "../evil": "x", "journals/../../evil": "x"}
                texts |= {f"journals/{name}.jsonl": text for name, text in self.journals.items()}
                for name, text in texts.items():
                    one = tarfile.TarInfo(name)
                    one.size = len(text)
                    archive.addfile(one, io.BytesIO(text.encode()))

    def remove(self) -> None:
        self.removed = True

    def verbs(self) -> list[str]:
        """The verbs in their order, those in a row once."""
        found: list[str] = []
        for _, verb, _ in self.asked:
            if verb not in found[-1:]:
                found.append(verb)
        return found


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """Figure 2A with a stream that needs no ffmpeg, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    one = plan()
    stream = SyntheticStream(kind="synthetic", seconds=30, rate_mbit=0.01)
    return replace(one, experiment=one.experiment.model_copy(update={"stream": stream}), out=tmp_path / "out")


def journals() -> dict[str, str]:
    found = made_up.recording().journals
    return {host: "".join(f"{encode(one, one.t)}\n" for one in each.entries) for host, each in found.items()}


def hands(**changed: Any) -> Noting:
    # oslo-1 stands for 202a, whose access link is cut second: the made-up tree has no other forwarder
    return Noting(journals(), {"oslo-1": deed("primary-dies", "do", T0 + 10), "oslo-2": ""}, **changed)


def go(one: Plan, noting: Noting) -> Recording:
    return course.run(one, real(), noting, "one-1", "inv", PlainProgress(), lambda: noting.stopped, {})


def without_last_fault(one: Plan) -> Plan:
    return replace(one, experiment=one.experiment.model_copy(update={"timeline": one.experiment.timeline[:1]}))


def test_a_run_looks_first_arms_faults_in_time_and_leaves_nothing(short: Plan) -> None:
    noting = hands()
    recording = go(without_last_fault(short), noting)
    verbs = noting.verbs()
    order = ["facts", "prepare", "clock", "token", "look", "arm", "gather"]
    assert [verbs.index(verb) for verb in order] == sorted(verbs.index(verb) for verb in order)
    [(host, _, armed)] = [one for one in noting.asked if one[1] == "arm"]
    assert (host, armed["name"], armed["do"][0]["signal"]) == ("oslo-1", "primary-dies", "KILL")
    assert armed["at"] == pytest.approx(T0 + 10 + 0.001), "by the host's own clock"
    assert [fault.target for fault in recording.faults] == ["202a"]
    assert recording.multicast_blocked is True
    assert recording.hosts is not None
    assert len(recording.hosts.hosts) == 16
    assert noting.removed
    assert not list(short.out.parent.rglob("evil")), "an archive's names are not believed"
    assert {file.name for file in short.out.iterdir()} >= {"journals", "logs"}


def test_a_stream_from_a_seed_is_made_on_the_host_and_carried_nowhere(short: Plan) -> None:
    noting = hands()
    go(without_last_fault(short), noting)
    assert "give" not in noting.verbs()
    [made] = [one["bytes"] for _, verb, one in noting.asked if verb == "prepare" and "bytes" in one]
    assert made == {"seed": 1, "size": 37_500}


def test_a_program_of_its_own_is_installed_for_the_run(short: Plan, tmp_path: Path) -> None:
    noting = hands(version=None)
    file = tmp_path / "overlaycast-1.tar"
    file.touch()
    one = without_last_fault(short)
    recording = course.run(one, real(), noting, "one-1", "inv", PlainProgress(), lambda: False, {}, artefact=file)
    given = {to["to"] for _, verb, to in noting.asked if verb == "give"}
    assert given == {"/var/lib/overlaycast-lab/one-1/artefact.tar"}
    started = [order["program"]["words"] for _, verb, order in noting.asked if verb == "start" and "program" in order]
    programs = {words[0] for words in started if words[0] != "sh"}
    assert programs == {"/var/lib/overlaycast-lab/one-1/program/current/bin/overlaycast"}
    assert recording.versions["installed"] == "overlaycast-1.tar"


@pytest.mark.parametrize("verb", ["prepare", "group", "look", "gather"])
def test_what_fails_on_the_way_is_removed_too(short: Plan, verb: str) -> None:
    noting = hands(fails=verb)
    with pytest.raises(LabError, match="no"):
        go(short, noting)
    assert noting.removed


def test_ctrl_c_removes_the_run_from_the_hosts(short: Plan) -> None:
    noting = hands()
    noting.stopped = True
    with pytest.raises(Stopped):
        go(short, noting)
    assert noting.removed
    assert noting.asked == [], "it was asked before anything began"


def test_what_hosts_lack_is_a_line_for_each_before_anything_starts(short: Plan) -> None:
    noting = hands(version=None, ports=[8600], lacks={"nft": "nftables is not installed", "netem": "no"}, room_mib=3)
    with pytest.raises(MistakesError) as error:
        go(short, noting)
    lines = [str(one) for one in error.value.all]
    assert len(lines) == 4 * 16
    assert lines[:4] == [
        "inv: host server (control): /opt/overlaycast/current is not there; accepted: overlaycast deploy up installs"
        " it, or --artefact FILE",
        "inv: host server (control): fewer than 2 TCP ports of 8600 to 8699 are free",
        "inv: host server (control): 3 MiB are free in /var/lib; needed: 50",
        "inv: host server (control): link-down cannot be done there: nftables is not installed; accepted: install it,"
        " or --no-faults",
    ]
    assert noting.verbs() == ["facts"]
    assert noting.removed
