"""The hand, as one file, and what it does that needs no systemd."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from overlaycast.lab.hosts.hand import deeds, gather, paths, units, watch
from overlaycast.lab.hosts.hand.place import Place
from overlaycast.lab.hosts.hand.units import HandError
from overlaycast.lab.hosts.hands import packed


@pytest.fixture
def place(tmp_path: Path) -> Place:
    found = Place("one-1", tmp_path / "run", tmp_path / "lib")
    for folder in ("deeds", "commands"):
        (found.volatile / folder).mkdir(parents=True)
    for folder in ("journals", "logs", "received"):
        (found.data / folder).mkdir(parents=True)
    return found


def test_it_is_one_file_that_needs_nothing_but_python() -> None:
    orders = [{"verb": "clock", "address": "127.0.0.1", "port": 1}, {"verb": "hear"}]
    with packed() as file:
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(file), "one-1"],
            input=base64.b64encode(json.dumps(orders).encode()).decode(),
            capture_output=True,
            text=True,
            env={"PATH": os.defpath},
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        {"verb": "clock", "wrong": "does not reach 127.0.0.1, TCP port 1: Connection refused"}
    ], "what cannot be done ends the list"


def test_names_of_a_run_are_its_own() -> None:
    one = Place("figure-2a-1")
    assert one.unit("202a") == "overlaycast-lab-figure-2a-1-202a"
    assert one.table == "overlaycast_lab_figure_2a_1"
    assert one.hand("undo", "f")[-4:] == ["/run/overlaycast-lab/figure-2a-1/hand.pyz", "figure-2a-1", "undo", "f"]


def noted(place: Place) -> list[dict[str, Any]]:
    return [json.loads(line) for line in place.log.read_text().splitlines()]


def test_a_deed_is_noted_with_its_proof_and_undone_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as process:
        monkeypatch.setattr(units, "pid", lambda *_: process.pid)
        steps = {
            word: [{"kind": "signal", "unit": "202a", "signal": name}]
            for word, name in (("do", "STOP"), ("undo", "CONT"))
        }
        place.deed("f").write_text(json.dumps(steps))
        deeds.undo(place, "f")
        assert not place.log.exists(), "what was not done needs no undoing"
        deeds.do(place, "f")
        assert units.state_of(process.pid) == "T"
        deeds.undo(place, "f")
        deeds.undo(place, "f", "at the end of the run")
        assert units.state_of(process.pid) != "T"
        process.kill()
    first, second = noted(place)
    assert (first["what"], first["ok"], first["evidence"]) == ("do", True, f"process {process.pid} is stopped")
    assert (second["what"], second["ok"], second["why"]) == ("undo", True, "asked")


def test_a_deed_that_does_not_work_is_noted_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "pid", lambda *_: 0)
    place.deed("f").write_text(json.dumps({"do": [{"kind": "signal", "unit": "a", "signal": "KILL"}], "undo": []}))
    (place.data / "logs" / "a.log").write_text("first\nit broke\n")
    deeds.do(place, "f")
    [one] = noted(place)
    assert (one["ok"], one["evidence"]) == (False, "a had ended by itself: it broke")


def test_a_heal_is_armed_before_its_fault(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from overlaycast.lab.hosts.hand import main

    armed: list[tuple[str, float]] = []
    monkeypatch.setattr(units, "later", lambda _, name, after_s, words: armed.append((name, after_s)))
    monkeypatch.setattr(main.time, "time", lambda: 1000.0)  # type: ignore[attr-defined]
    order = {"name": "f", "do": [{"kind": "x"}], "undo": [{"kind": "y"}], "at": 1004.0, "undo_at": 1012.0}
    main.ORDERS["arm"](place, order)
    assert armed == [("heal-f", 12.0), ("fault-f", 4.0)]
    armed.clear()
    main.ORDERS["arm"](place, order | {"at": 997.0, "undo_at": 1005.0})
    assert armed == [("heal-f", 8.0), ("fault-f", -3.0)], "what comes late lasts as long as it was to"


def test_a_journal_says_how_far_its_program_is(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*kinds: str) -> None:
        lines = "".join(f'{{"kind": "{kind}", "t": {number}}}\n' for number, kind in enumerate(kinds))
        place.journal("a").write_text(f'{lines}{{"kind": "en')

    write("start", "welcome", "begin", "sample")
    assert watch.said_by(place, "a") == {"joined": 1, "begun": 2}
    write("start", "welcome", "summary", "start")
    assert watch.said_by(place, "a") == {}, "a new life has not joined yet"
    write("start", "welcome", "end", "summary")
    assert watch.wait(place, {"name": "a", "what": "over", "patience_s": 1}) == {"t": 2}
    write("start")
    monkeypatch.setattr(watch, "START_S", -1.0)
    monkeypatch.setattr(units, "show", lambda *_: {"MainPID": "0", "ExecMainStatus": "2"})
    (place.data / "logs" / "a.log").write_text("no such group\n")
    with pytest.raises(HandError, match=r"^a ended with 2 before it had joined: no such group$"):
        watch.wait(place, {"name": "a", "what": "joined", "patience_s": 5})


def test_the_tree_is_read_over_the_coordinators_socket(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    state = place.data / "state"
    state.mkdir()
    (state / "admin.token").write_text("secret\n")
    asked = []

    def answer(server: socket.socket) -> None:
        client, _ = server.accept()
        with client:
            asked.append(client.recv(4096))
            body = b'{"epoch": 3, "members": []}'
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    monkeypatch.chdir(state)  # a socket's path has no room for a test's folder
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("admin.sock")
        server.listen()
        other = threading.Thread(target=answer, args=(server,))
        other.start()
        found = watch.read(Place(".", place.volatile_root, Path("..")), "news", "tree")
        other.join()
    assert found == {"epoch": 3, "members": []}
    assert b"GET /v1/groups/news/tree" in asked[0]
    assert b"Bearer secret" in asked[0]
    with pytest.raises(HandError, match=r"^the coordinator did not answer: FileNotFoundError"):
        watch.read(Place("none", place.volatile_root, place.data_root), "news", "tree")


def test_a_full_disk_is_filled_to_the_last_block(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.data / "disk").mkdir()
    monkeypatch.setattr(os, "statvfs", lambda _: type("Room", (), {"f_bavail": 0})())
    room = [3]

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None: ...

        def write(self, block: bytes) -> None:
            room[0] -= 1
            if room[0] < 0:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_, **__: Full())
    step = {"kind": "fill", "folder": "disk"}
    at, proof = deeds._STEPS["fill"](place, "f", step)
    assert at > 0
    assert proof.endswith("disk has no room")


def test_routers_to_this_machine_are_none() -> None:
    assert paths.routers("127.0.0.1") == []
    assert paths.own_address("127.0.0.1") == "127.0.0.1"


def test_what_is_in_a_file_is_told_by_its_digest(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    seen = gather._seen(file)
    assert (seen["size"], seen["sha256"][:8]) == (3, "ba7816bf")
    assert gather._seen(tmp_path / "none")["size"] == 0
