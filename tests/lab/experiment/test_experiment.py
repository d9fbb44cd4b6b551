"""Wrong experiments are named by file, line and field, with what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.document import placed_yaml
from overlaycast.errors import ConfigError
from overlaycast.lab.commands import lab
from overlaycast.lab.experiment import experiment
from overlaycast.lab.experiment.casting import Host, cast, castable, check_faults
from overlaycast.lab.topology.graph import Link, Node
from overlaycast.lab.topology.shape import Shape
from overlaycast.lab.topology.topology import Topology

GOOD = """\
name: tiny
topology: {file: net.py}
stream:
  kind: synthetic
  seconds: 10
  rate_mbit: 1
timeline:
  - at_s: 5
    action: kill
    target: c1
expect:
  - metric: lost
    op: "=="
    limit: 0
"""
ROLES = {"s": "server", "k": "coordinator", "b": "backup", "c1": "client", "c2": "client"}
SITES = {"c1": "north", "c2": "south"}
NET = Topology.of(
    "net",
    [
        *(Node(name, "host", role=role, site=SITES.get(name)) for name, role in ROLES.items()),
        *(Node(name, "router") for name in ("R", "RN", "RS")),
    ],
    [
        *(Link(name, "R", Shape(), Shape()) for name in ("s", "k", "b")),
        Link("R", "RN", Shape(), Shape(), uplink_of="north"),
        Link("R", "RS", Shape(), Shape(), uplink_of="south"),
        Link("c1", "RN", Shape(), Shape()),
        Link("c2", "RS", Shape(), Shape()),
    ],
)
HOSTS = castable(NET)


def complaint(text: str) -> str:
    """Return what is said of an experiment, or an empty string if nothing is wrong with it."""
    try:
        document = placed_yaml.parse(text, Path("x.yaml"))
        parsed = experiment.parse(document)
        check_faults(document, parsed, cast(document, parsed, castable(NET)), NET)
    except ConfigError as error:
        return str(error)
    return ""


def test_good_one_is_read() -> None:
    document = placed_yaml.parse(GOOD, Path("x.yaml"))
    parsed = experiment.parse(document)
    chosen = cast(document, parsed, HOSTS)
    assert (chosen.source, chosen.coordinator, chosen.peers, chosen.backups) == ("s", "k", ("c1", "c2"), ("b",))
    assert [name for name, _ in parsed.faults] == ["kill-1"]
    assert parsed.stream_s == 10


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: tiny", "nmae: tiny", "x.yaml:1: nmae: unknown field 'nmae'; accepted: name, title, about, topology"),
        ("kind: synthetic", "kind: smoke", "x.yaml:4: stream.kind: 'smoke' is unknown; accepted: media, synthet"),
        ("  kind: synthetic\n", "", "x.yaml:3: stream.kind: required"),
        ("seconds: 10", "seconds: -1", "x.yaml:5: stream.seconds: should be greater than or equal to 0.1 (got -1)"),
        ("seconds: 10", "sceonds: 10", "x.yaml:5: stream.sceonds: unknown field 'sceonds'; accepted: kind, seconds"),
        ("at_s: 5", "at_s: 50", "x.yaml:8: timeline[0].at_s: 50 is after the end of the stream; accepted: below 10"),
        ("action: kill", "action: hug", "x.yaml:9: timeline[0].action: 'hug' is unknown; accepted: kill, leave"),
        ("target: c1", "target: c9", "x.yaml:10: timeline[0].target: no host 'c9'; accepted: a host's name or several"),
        ("target: c1", "target: forwarder-of:mars", "x.yaml:10: timeline[0].target: no site 'mars'; accepted: n"),
        ("    target: c1\n", "", "x.yaml:8: timeline[0].target: required"),
        ("metric: lost", "metric: luck", "x.yaml:12: expect[0].metric: 'luck' is unknown; accepted: lost, duplicated"),
        ('op: "=="', 'op: "="', "x.yaml:13: expect[0].op: '=' is unknown; accepted: ==, !=, <=, <, >=, >"),
        ("limit: 0", "limit: .nan", "x.yaml:14: expect[0].limit: should be a finite number"),
        ("limit: 0", "limit: .inf", "x.yaml:14: expect[0].limit: should be a finite number"),
        ("seconds: 10", "seconds: .nan", "x.yaml:5: stream.seconds: should be a finite number"),
        ("at_s: 5", "at_s: .inf", "x.yaml:8: timeline[0].at_s: should be a finite number"),
        ("limit: 0", "limit: many", "x.yaml:14: expect[0].limit: a number is accepted (got 'many')"),
        ("limit: 0", "limit: 0\n    unit: ms", "x.yaml:15: expect[0].unit: lost is measured in 'records', not 'ms'"),
        ("limit: 0", "limit: 0\n    fault: none", "x.yaml:15: expect[0].fault: no fault 'none'; accepted: kill-1"),
        ("stream:", "group: {mode: carrier}\nstream:", "x.yaml:3: group.mode: 'carrier' is unknown; accepted: li"),
        ("stream:", "group: {moed: live}\nstream:", "x.yaml:3: group.moed: unknown field 'moed'; accepted: mode"),
        ("stream:", "members: {peers: [c1, c9]}\nstream:", "x.yaml:3: members.peers: no host 'c9'; accepted: b, c1"),
        ("stream:", "members: {backups: [c1]}\nstream:", "x.yaml:3: members.backups: 'c1' already has a part"),
        ("stream:", "members: {upload_mbit: {k: 2}}\nstream:", "x.yaml:3: members.upload_mbit.k: no member 'k'; acc"),
        ("stream:", "members: {upload_mbit: {s: 0}}\nstream:", "x.yaml:3: members.upload_mbit.s: should be greater"),
        ("stream:", "members: {peers: []}\nstream:", "x.yaml:3: members.peers: no member joins"),
        ("stream:", "name: again\nstream:", "x.yaml:3: name: given twice"),
        ("name: tiny", "name: &a tiny\ntitle: *a", "x.yaml:2: *a: aliases are not accepted"),
        ("name: tiny", "name: [tiny", "x.yaml:2: not YAML:"),
        ("name: tiny", "name: ''", "x.yaml:1: name: "),
    ],
)  # fmt: skip
def test_wrong_one_is_named(old: str, new: str, said: str) -> None:
    text = complaint(GOOD.replace(old, new, 1))
    assert text.startswith(said)
    assert "\n" not in text


def test_document_without_anything() -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml:1: document: empty"):
        placed_yaml.parse("# nothing\n", Path("x.yaml"))


def test_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        placed_yaml.read(tmp_path / "none.yaml")


def test_file_that_is_too_large(tmp_path: Path) -> None:
    (tmp_path / "large.yaml").write_bytes(b"#" * (placed_yaml.LIMIT + 1))
    with pytest.raises(ConfigError, match="larger than"):
        placed_yaml.read(tmp_path / "large.yaml")


def test_two_hosts_of_one_role() -> None:
    document = placed_yaml.parse(GOOD, Path("x.yaml"))
    with pytest.raises(ConfigError, match=r"members\.source: required: not exactly one host"):
        cast(document, experiment.parse(document), (*HOSTS, Host("s2", "server", None)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc: -{}[]", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abckind", max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(list(experiment.Experiment.model_fields)), VALUES)
def test_any_value_in_any_field_is_read_or_named(field: str, value: object) -> None:
    said = complaint(yaml.safe_dump({**yaml.safe_load(GOOD), field: value}))
    assert said == "" or said.startswith("x.yaml:")
    assert "\n" not in said


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    said = complaint(text)
    assert said.startswith("x.yaml")
    assert "\n" not in said


def test_check_tells_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(GOOD)
    assert lab.main(["check", str(file)]) == 2
    assert f"{file}:2: topology: {tmp_path}/net.py: no such file" in capsys.readouterr().err
    assert lab.main(["check", "experiments/figure-2a.yaml"]) == 0
    assert "13 receivers, 2 faults" in capsys.readouterr().out


def test_commands_are_named() -> None:
    with pytest.raises(ConfigError, match="no command 'dance'; accepted: run, check"):
        lab.main(["dance"])
