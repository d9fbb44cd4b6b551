"""Molecule's own sequence over the collection, with the delegated driver, on three machines: members, no change at a
second time, units that run, a stream that arrives, and bare hosts again.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.machines import Machines
from tests.deploy.networks import build
from tests.deploy.playing import BIN, PLAYBOOKS, Player
from tests.deploy.traces import traces
from tests.deploy.versions import artefact
from tests.lab.inside import inside

pytestmark = [pytest.mark.lab, pytest.mark.slow]

GROUPS = {"coordinator": ["server"], "sources": ["studio"], "peers": ["viewer"]}


@pytest.fixture(scope="module")
def built() -> str:
    """The file to install; it is made where other hosts can be reached."""
    return "" if is_isolated() else str(artefact())


@inside
def test_molecule_converges_is_idempotent_and_verifies(machines: Machines, built: str, tmp_path: Path) -> None:
    names = [name for group in GROUPS.values() for name in group]
    for name, address in build(names).items():
        machines.boot(name, address, name)
    machines.wait()
    variables = {
        "overlaycast_artefact": str(artefact()),
        "overlaycast_groups": {"news": {"settings": {"rate_mbit": 2}}},
        "overlaycast_source_synthetic_s": 36_000,
        "overlaycast_source_rate": "2M",
        "overlaycast_disk_mb": 200,
    }
    player = Player(machines, tmp_path, GROUPS, variables)
    before = {name: traces(machines, name) for name in names}
    environ = {
        "OVERLAYCAST_INVENTORY": str(player.inventory),
        "MOLECULE_EPHEMERAL_DIRECTORY": str(tmp_path / "molecule"),
        "NO_COLOR": "1",
    }
    played = player.run([str(BIN / "molecule"), "test"], PLAYBOOKS / "extensions", **environ)
    assert played.code == 0, played.said
    for step in ("converge", "idempotence", "verify", "cleanup"):
        assert f"default > {step}: Executed: Successful" in played.said, played.said
    after = {name: traces(machines, name) for name in names}
    differ = {name: sorted(after[name] ^ before[name]) for name in names}
    assert not any(differ.values()), differ
