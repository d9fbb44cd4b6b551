"""Options of ``lab run --hosts``: what is refused, and every line of an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overlaycast.errors import ConfigError, LabError, exit_code
from overlaycast.lab.commands import on_hosts, run
from overlaycast.lab.hosts import course
from overlaycast.lab.hosts.hands import HostsError, Stopped
from tests.lab.hosts.test_mapping import inventory, real
from tests.lab.made_up import ROOT

FIGURE = str(ROOT / "experiments" / "figure-2a.yaml")


def play(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    code = exit_code(lambda: run.main(list(words)))
    return code, capsys.readouterr().err.strip().splitlines()


def test_options_for_emulated_networks_are_refused_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = play(capsys, FIGURE, "--hosts", "inv", "--cli", "--capture", "--system", "multicast", "--keep")
    assert code == 2
    assert [line.partition(": with --hosts: ")[0] for line in lines] == [
        f"overlaycast lab run: {option}" for option in ("capture", "keep", "cli", "system")
    ]


def test_an_experiment_or_a_rehearsal_is_required_and_not_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert play(capsys) == (2, ["overlaycast lab run: experiments: required; accepted: one or more files"])
    assert play(capsys, "--rehearse", "2") == (2, ["overlaycast lab run: rehearse: only with --hosts INVENTORY"])
    code, [line] = play(capsys, FIGURE, "--hosts", "inv", "--rehearse", "2")
    assert (code, line) == (2, "overlaycast lab run: experiments: with --rehearse: none; accepted: one or the other")


def test_a_fault_that_is_not_done_there_is_refused_by_file_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    file = ROOT / "experiments" / "slow-reader.yaml"
    code, [line] = play(capsys, str(file), "--hosts", "inv")
    assert code == 2
    assert line.startswith(f"overlaycast: {file}:")
    assert ": timeline[0].action: slow-reader is not done on real hosts: a member writes to a file there" in line
    code, [line] = play(capsys, str(file), "--hosts", "inv", "--no-faults")
    assert line == "overlaycast: inv: no such inventory; accepted is a file or a folder that Ansible can read"


def test_a_queue_is_not_asked_for_twice(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = play(capsys, str(ROOT / "experiments" / "links-that-suffer.yaml"), "--hosts", "inv", "--shape")
    assert code == 2
    assert any("is not done with --shape: both need the same queue" in line for line in lines)


@pytest.mark.parametrize(
    ("error", "code", "lines"),
    [
        (Stopped("stopped"), 130, []),
        (LabError("it broke"), 1, ["overlaycast: it broke"]),
        (HostsError(["a: no", "b: no"]), 1, ["overlaycast: a: no", "overlaycast: b: no"]),
        (ConfigError("inv: no"), 2, ["overlaycast: inv: no"]),
    ],
)
def test_each_host_that_failed_has_a_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: LabError,
    code: int,
    lines: list[str],
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(on_hosts, "listing", lambda _: inventory())
    monkeypatch.setattr(course, "run", fail)
    assert len(real()) == 16
    assert play(capsys, FIGURE, "--hosts", "inv", "--out", str(tmp_path)) == (code, lines)


def test_a_runs_name_is_short_and_its_own() -> None:
    one, other = (on_hosts.run_name("A very long name of an Experiment, indeed") for _ in range(2))
    assert one != other
    assert one.startswith("a-very-long-name-of-an-e-")
    assert len(f"/var/lib/overlaycast-lab/{one}/state/admin.sock") < 100, "a Unix socket's path is short"
