"""``overlaycast lab run --cli``: the experiment's network, built and proven, with Mininet's command line on it.

Owns: the prompt, and its end: ``exit``, the end of input, or the outer process's request to stop. Refuses: to run the
experiment. Runs only inside ``isolation.run_isolated``.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

from overlaycast.lab.experiment.plan import Plan
from overlaycast.lab.fidelity import fidelity
from overlaycast.lab.network.isolation import stop_fd
from overlaycast.lab.network.mininetface import prompt
from overlaycast.lab.network.network import Network


def run(plan: Plan) -> int:
    """Build the plan's network, check it, and hand the terminal to Mininet; return 0 when it is left.

    Raises:
        LabError: the network is not what was asked for.
        MissingError: this machine lacks something.
    """
    topology = plan.topology
    print(f"building {topology.name}: {len(topology.nodes)} nodes, {len(topology.links)} links", file=sys.stderr)
    _leave_when_asked_to_stop()
    with Network(topology, changeable=plan.changeable, seed=plan.seed) as network:
        fidelity.check(network)
        print(
            f"it is the network that was asked for; try 'nodes', 'links', '{plan.cast.peers[0]} ping -c 1"
            f" {plan.cast.source}', 'link A B down', 'help'; 'exit' ends it and leaves nothing",
            file=sys.stderr,
            flush=True,
        )
        prompt(network.mininet)
    return 0


def _leave_when_asked_to_stop() -> None:
    """Have a thread wait for the request to stop and send a signal, since the prompt waits in a blocking read."""

    def leave(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    fd = stop_fd()
    os.set_inheritable(fd, False)

    def wait() -> None:
        os.read(fd, 1)  # its end
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
