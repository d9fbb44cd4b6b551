"""First process of a user-mode Linux that has netem: build networks there, check them, say how that went, and halt.

Its root is the host's file system, read-only. Nothing loads modules on demand there, so they are loaded here.
Arguments: the topology files to build. On standard output: a line ``UML {json}`` per topology.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

from overlaycast.lab.network.isolation import is_isolated, run_isolated

_FINIT_MODULE = 313  # x86_64
_POWER_OFF = 0x4321FEDC
_MODULES = "sch_netem sch_tbf veth bridge tun"
_MOUNTS = ("proc /proc", "sysfs /sys", "tmpfs /run")
_libc = ctypes.CDLL(None, use_errno=True)  # finit_module(2) and reboot(2): the standard library has neither


def load_modules() -> None:
    """Load what the lab needs, each after what it depends on (``modules.dep``)."""
    folder = Path("/usr/lib/uml/modules", os.uname().release)
    needs = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        file, _, others = line.partition(":")
        needs[Path(file).name.removesuffix(".ko")] = [*reversed(others.split()), file]
    done = set()
    for name in _MODULES.split():
        for file in needs[name]:
            if file not in done:
                done.add(file)
                with open(folder / file, "rb") as module:
                    if _libc.syscall(_FINIT_MODULE, module.fileno(), b"", 0) != 0:
                        raise OSError(ctypes.get_errno(), file)


def mount() -> None:
    """Mount what is written to. The project may itself lie below /tmp: it stays to be seen there."""
    for words in _MOUNTS:
        kind, where = words.split()
        subprocess.run(["mount", "-t", kind, kind, where], check=True)
    project, aside = Path(os.environ["PYTHONPATH"]), Path("/run/project")
    aside.mkdir()
    subprocess.run(["mount", "--bind", project, aside], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/tmp"], check=True)
    if project.is_relative_to("/tmp"):
        project.mkdir(parents=True)
        subprocess.run(["mount", "--bind", aside, project], check=True)


def check(files: list[str]) -> None:
    """Build and check each topology."""
    from overlaycast.lab.fidelity import fidelity
    from overlaycast.lab.network.network import Network
    from overlaycast.lab.topology.loading import load_topology

    for file in files:
        with Network(load_topology(file)) as network:
            # every system call is emulated there: this is about function, not precision
            found = fidelity.check(network, fidelity.Tolerance(delay_ms=10.0, rate=0.5, fast_rate=1.0))
            print("UML", json.dumps({"means": network.account()["means"], "fidelity": found.as_dict()}), flush=True)


def main() -> None:
    """As first process: prepare, check in namespaces of our own, halt."""
    if is_isolated():
        check(sys.argv[1:])
        return
    try:
        mount()
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        load_modules()
        files = [word for word in sys.argv[1:] if word.endswith(".py")]  # the kernel adds words of its own
        print("UML-EXIT", run_isolated([sys.executable, __file__, *files]), flush=True)
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        _libc.reboot(_POWER_OFF)


if __name__ == "__main__":
    main()
