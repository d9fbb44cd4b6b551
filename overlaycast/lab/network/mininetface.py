"""Our network as Mininet's objects: hosts and routers as ``Node``, links as ``Link``, all of it as ``Mininet``.

So users can type at Mininet's command line, and programs can call ``popen`` and ``cmd`` as in any Mininet script. The
network itself is built without Mininet (``network.py``), because that is faster.

Owns: the classes that derive from Mininet's. Invariants: making these objects starts no program and changes no
interface; a node's shell starts on first use (``cmd``, ``pid``); ``popen`` starts the program directly, so that the pid
is the program's; Mininet's ``cleanup`` is never called, because it ends processes that are not ours.
"""

# mypy: disable-error-code="no-untyped-call"
# Mininet has no annotations; only this file and topology/routedtopo.py call it.

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, Protocol

from overlaycast.errors import MissingError
from overlaycast.lab.network.namespaces import Namespace
from overlaycast.lab.topology.addressing import Family, Interface
from overlaycast.lab.topology.topology import Topology

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Mininet imports distutils, which warns
    try:
        from mininet.cli import CLI
        from mininet.link import Intf, Link
        from mininet.net import Mininet
        from mininet.node import Node as MininetNode
    except ImportError as error:
        raise MissingError(
            f"the lab needs Mininet ({error}); install it with: pip install 'overlaycast[lab]'"
        ) from None

_OWN_SYS: Final = 'mount -t sysfs sysfs /sys; exec "$@"'
_STOP_S: Final = 3.0


class LinkControl(Protocol):
    """The network, as far as Mininet's command line changes it."""

    def link_down(self, a: str, b: str) -> None:
        """Take the links between two nodes down."""

    def link_up(self, a: str, b: str) -> None:
        """Bring them up again."""


def check_programs(*, nft: bool = False) -> None:
    """Raise ``MissingError`` for a program that the lab or Mininet needs. Mininet itself would end the process."""
    needed = [("mnexec", "mininet"), ("ifconfig", "net-tools"), ("tc", "iproute2"), ("ip", "iproute2")]
    for program, package in [*needed, ("nft", "nftables")] if nft else needed:
        if shutil.which(program) is None:
            raise MissingError(f"the lab needs {program}; install it with: apt-get install {package}")


class LabNode(MininetNode):
    """A host or router: a namespace, and a Mininet node on it whose shell starts when it is first needed."""

    def __init__(self, name: str, namespace: Namespace, **params: Any) -> None:
        """Take a namespace that is set up already."""
        self._namespace = namespace
        self._shell_pid: int | None = None
        self._started: list[subprocess.Popen[Any]] = []
        super().__init__(name, **params)
        self._ready = True

    def startShell(self, mnopts: str | None = None) -> None:
        """Start the shell, except when Mininet's constructor asks for it: most nodes never need one."""
        if not getattr(self, "_ready", False):
            return
        self.inNamespace = False  # else mnexec would make another namespace
        try:
            super().startShell(mnopts)
        finally:
            self.inNamespace = True

    @property
    def pid(self) -> int | None:
        """The pid of the node's shell; it is started if need be, because outside tools find the namespace by it."""
        if getattr(self, "_ready", False) and self._shell_pid is None and self.shell is None:
            self.startShell()
        return self._shell_pid

    @pid.setter
    def pid(self, value: int | None) -> None:
        self._shell_pid = value

    def sendCmd(self, *args: Any, **kwargs: Any) -> None:
        """As Mininet's; starts the shell first."""
        if self.shell is None:
            self.startShell()
        super().sendCmd(*args, **kwargs)

    def cmd(self, *args: Any, **kwargs: Any) -> Any:
        """As Mininet's, for people at a prompt; programs use ``popen``."""
        if self.shell is None:
            self.startShell()
        return super().cmd(*args, **kwargs)

    def _popen(self, cmd: list[str], **params: Any) -> subprocess.Popen[Any]:
        """Start Mininet's shell: in the namespace, with a ``/sys`` that shows its interfaces."""
        with self._namespace.entered():
            own_sys = ["unshare", "--mount", "sh", "-c", _OWN_SYS, "sh"]
            return subprocess.Popen([*own_sys, *cmd], **params)

    def popen(self, *args: Any, **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program in the node, in a session of its own; it is stopped at the latest when the network closes.

        Args:
            args: one list of words, or the words (Mininet passes one string: split at blanks; no shell is involved).
            kwargs: as of ``subprocess.Popen``; output goes to pipes by default.
        """
        words = args[0] if len(args) == 1 else args
        argv = words.split() if isinstance(words, str) else [str(word) for word in words]
        if kwargs.pop("shell", False):
            raise ValueError("popen takes a list of words; for a shell use cmd()")
        kwargs.pop("mncmd", None)
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **kwargs}
        with self._namespace.entered():
            process: subprocess.Popen[Any] = subprocess.Popen(argv, **options)
        self._started.append(process)
        return process

    def pexec(self, *args: Any, **kwargs: Any) -> tuple[str, str, int]:
        """Run a program in the node to its end; output, errors and exit code."""
        out, err, code = super().pexec(*args, **kwargs)
        return str(out), str(err), int(code)

    def running(self) -> list[subprocess.Popen[Any]]:
        """Return the programs of ``popen`` that still run."""
        self._started = [process for process in self._started if process.poll() is None]
        return self._started

    def terminate(self) -> None:
        """End the shell, if there is one. Programs are ended by ``stop_all``."""
        if self.shell is not None:
            super().terminate()


def stop_all(nodes: Mapping[str, LabNode]) -> None:
    """Kill the programs of ``popen`` that still run, with their process groups, and end the shells."""
    left = [process for node in nodes.values() for process in node.running()]
    for process in left:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    for process in left:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    for node in nodes.values():
        node.terminate()


class BuiltLink(Link):
    """A Mininet link over two interfaces that exist already."""

    def __init__(self, ends: tuple[tuple[LabNode, Interface], tuple[LabNode, Interface]], family: Family) -> None:
        self.fast = True
        self.intf1, self.intf2 = (self._end(node, end, family) for node, end in ends)

    def _end(self, node: LabNode, end: Interface, family: Family) -> Any:
        port = int(end.name.rpartition("-eth")[2])
        made: Any = Intf(end.name, node=node, port=port, link=self, mac=end.mac, moveIntfFn=Link._ignore, up=None)
        made.ip, made.prefixLen = end.spoken(family) or (None, None)
        return made


class BuiltMininet(Mininet):
    """A ``Mininet`` whose nodes and links are ours; for its command line and for people who know its API."""

    def __init__(self, topology: Topology, nodes: Mapping[str, LabNode], links: LinkControl) -> None:
        Mininet.inited = True  # its init() would raise limits of the whole machine
        super().__init__(topo=None, controller=None, build=False)
        self._links = links
        self.hosts = list(nodes.values())
        self.nameToNode = dict(nodes)
        for link in topology.links:
            a, b = (topology.interface(link.name, end) for end in (link.a, link.b))
            self.links.append(BuiltLink(((nodes[link.a], a), (nodes[link.b], b)), topology.families[0]))
        self.built = True

    def configLinkStatus(self, src: str, dst: str, status: str) -> None:
        """The command line's ``link a b up|down``: both ends, with their routes and neighbours."""
        (self._links.link_up if status == "up" else self._links.link_down)(src, dst)

    def stop(self) -> None:
        """Do nothing: the network's context manager ends it."""


def prompt(network: BuiltMininet) -> None:
    """Give the terminal to Mininet's command line until ``exit`` or the end of input."""
    CLI(network)
