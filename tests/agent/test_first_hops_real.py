"""A real member, three routers away from a real coordinator, tells what it sees of its own network."""

from __future__ import annotations

import json

import pytest

from tests.discovery.test_tracing import line

pytestmark = pytest.mark.lab

# the coordinator is in another namespace than the member; both end with the shell, whose process namespace it is
PLAY = """
import json, subprocess, sys, tempfile, time
folder = tempfile.mkdtemp()
program = [sys.executable, "-m", "overlaycast.cli"]
at_coord = ["ip", "netns", "exec", "coord", *program]
admin = ["--coordinator", f"unix:{folder}/admin.sock", "--admin-token-file", folder + "/admin.token"]
until = time.monotonic() + 90
subprocess.Popen([*at_coord, "coordinator", "--listen", "10.0.0.1:8470", "--state", folder])
def ask(*words):
    while time.monotonic() < until:
        done = subprocess.run([*at_coord, "group", *words, *admin], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout
        time.sleep(0.1)
    sys.exit(done.stderr)
token = ask("create", "g").split()[-1]
subprocess.Popen([*program, "join", "g", "--coordinator", "http://10.0.0.1:8470", "--token", token, "--output",
                  folder + "/out", "--listen", "10.0.3.2:8471"], stderr=subprocess.DEVNULL)
while time.monotonic() < until:
    told = [one for one in json.loads(ask("events", "g", "--json"))["events"] if one["kind"] == "first-hops"]
    if told:
        print("\\n" + json.dumps(told[0]["details"]))
        break
    time.sleep(0.1)
"""


def test_a_member_tells_its_gateway_and_its_first_hops() -> None:
    told = line().run("host", ["-c", PLAY], timeout=200).splitlines()[-1]
    assert json.loads(told) == {"gateway": "10.0.3.1", "hops": ["10.0.3.1", "10.0.2.1", "10.0.1.1"]}
