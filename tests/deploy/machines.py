"""Machines for the tests: each a Debian with systemd as process 1, in a network namespace of its own.

Owns: their files (an overlay on the base tree, in memory), their processes, and the key that opens them. Refuses: the
network between them (``networks``), and to run outside ``run_isolated``, whose end removes all of it.

A machine has a cgroup of its own in a hierarchy of the second version, as systemd wants it, and ends with
``cgroup.kill``.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from overlaycast.lab.network.isolation import is_isolated
from tests.deploy.base_tree import NotHere, base_tree

CGROUPS: Final = Path("/sys/fs/cgroup")
_BOOT_S: Final = 60.0


def _run(*words: object) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{words[0]} … {words[-1]}: {done.stderr}"
    return done.stdout


@dataclass
class Machine:
    """One machine.

    Attributes:
        name: its host name.
        address: where its SSH server listens.
        root: its files.
    """

    name: str
    address: str
    root: Path
    process: subprocess.Popen[bytes]
    log: Path


@dataclass
class Machines:
    """All machines of a test, as a context; entering it raises ``NotHere`` where no machine can be started."""

    folder: Path
    """In memory: files of machines, the key, and what the machines print while they start."""
    of: dict[str, Machine] = field(default_factory=dict)
    layers: list[Path] = field(default_factory=list)
    """Further trees below each machine's own files, the upmost first."""
    _exits: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Machines:
        assert is_isolated(), "mounts and processes of machines end with their namespaces"
        self.folder.mkdir(parents=True)
        try:
            self._make_room()
        except (AssertionError, OSError) as error:
            raise NotHere(f"no machine can be started here: {error}") from None
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        return self

    def _make_room(self) -> None:
        """Mount what machines need, and try it with one that ends at once."""
        _run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", self.folder)
        self._exits.callback(_run, "umount", "--lazy", self.folder)
        with suppress(AssertionError):  # it may be nothing that is mounted
            _run("umount", "--recursive", "--lazy", CGROUPS)
        _run("mount", "-t", "cgroup2", "cgroup2", CGROUPS)
        self.cgroup = CGROUPS / f"machines-{os.urandom(4).hex()}"
        self.cgroup.mkdir()
        self._exits.callback(self._remove_cgroup)
        root = self._mount("trial", (base_tree(),))
        _run(*self._inside("trial", root, "--private-network"), "true")
        _run("umount", "--lazy", root)

    def __exit__(self, *_: object) -> None:
        self._exits.close()

    @property
    def key(self) -> Path:
        """The private key that all machines accept for root."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The host keys of all machines."""
        return self.folder / "known_hosts"

    def boot(self, name: str, address: str, namespace: str, tree: Path | None = None) -> Machine:
        """Start a machine in a network namespace that ``ip netns`` knows; it may not be up yet (see ``wait``).

        Args:
            tree: what it starts from, instead of the base tree.
        """
        root = self._mount(name, (*self.layers, tree or base_tree()))
        self._prepare(root, name)
        host_key = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().split()[:2]
        with self.known_hosts.open("a") as file:
            file.write(f"{address} {' '.join(host_key)}\n")
        log = root.with_name("log")
        process = self._start(name, root, namespace, log)
        self.of[name] = Machine(name, address, root, process, log)
        return self.of[name]

    def install(self, artefact: Path) -> None:
        """Have all machines that are booted from now on have the program installed: once for all of them."""
        root = self._mount("installed", (base_tree(),))
        for part in ("proc", "dev"):
            _run("mount", "--rbind", f"/{part}", root / part)
        _run("tar", "-C", root / "root", "-xf", artefact)
        [install] = (root / "root").glob("overlaycast-*/install")
        words = ["chroot", root, f"/{install.relative_to(root)}"]
        _run(*words, "--python", "python3")
        _run("chroot", root, "useradd", "--system", "--home-dir", "/var/lib/overlaycast", "overlaycast")
        shutil.rmtree(install.parent)
        _run("umount", "--recursive", "--lazy", root)
        self.layers.insert(0, root.with_name("up"))

    def _mount(self, name: str, layers: Sequence[Path]) -> Path:
        """Return the root of a machine's own files above trees that stay as they are."""
        mine = self.folder / name
        for part in ("up", "work", "root"):
            (mine / part).mkdir(parents=True)
        lower = ":".join(map(str, layers))
        options = f"lowerdir={lower},upperdir={mine / 'up'},workdir={mine / 'work'}"
        _run("mount", "-t", "overlay", "overlay", "-o", options, mine / "root")
        return mine / "root"

    def _prepare(self, root: Path, name: str) -> None:
        (root / "etc/hostname").write_text(f"{name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {name}\n")
        (root / "etc/machine-id").write_text(f"{os.urandom(16).hex()}\n")
        (root / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
        (root / "root/.ssh/authorized_keys").write_text(self.key.with_suffix(".pub").read_text())

    def _start(self, name: str, root: Path, namespace: str, log: Path) -> subprocess.Popen[bytes]:
        words = self._inside(name, root, "--boot", f"--network-namespace-path=/run/netns/{namespace}")
        with log.open("wb") as output:
            # its network is its own, so it may write to /proc/sys/net, as a real machine does
            environ = os.environ | {"SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
            null, both = subprocess.DEVNULL, subprocess.STDOUT
            return subprocess.Popen(words, env=environ, stdin=null, stdout=output, stderr=both)

    def _inside(self, name: str, root: Path, *more: str) -> list[str]:
        """Return the command that runs a tree, in a cgroup of its own."""
        cgroup = self.cgroup / name
        cgroup.mkdir()
        # systemd-nspawn finds its place below that of process 1, so the namespace of cgroups begins there
        script = (
            "umount /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; "
            "mkdir -p /run/systemd/nspawn; mount -t tmpfs tmpfs /run/systemd/nspawn; "
            'echo $$ > "$1/cgroup.procs"; shift; exec "$@"'
        )
        return [
            *("unshare", "--cgroup", "--mount", "bash", "-euc", script, "bash", str(cgroup)),
            "systemd-nspawn",
            "--quiet",
            "--keep-unit",
            "--register=no",
            f"--machine={name}",
            f"--directory={root}",
            "--capability=CAP_NET_ADMIN,CAP_NET_RAW",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
            *more,
        ]

    def wait(self) -> None:
        """Return when every machine's SSH server answers."""
        until = time.monotonic() + _BOOT_S
        for machine in self.of.values():
            while not _answers(machine.address):
                said = machine.log.read_text(errors="replace")[-2000:]
                assert machine.process.poll() is None, f"{machine.name} ended: {said}"
                assert time.monotonic() < until, f"{machine.name} did not come up: {said}"
                time.sleep(0.1)

    def run(self, name: str, *words: str, check: bool = True, seconds: float = 60) -> str:
        """Run a command on a machine over SSH, for so long at most, and return what it printed."""
        done = subprocess.run(
            [*self.ssh, f"root@{self.of[name].address}", *words],
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{name}: {words}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def ssh(self) -> list[str]:
        """The command that opens a machine."""
        options = ("BatchMode=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={self.known_hosts}")
        return ["ssh", "-i", str(self.key), *(word for option in options for word in ("-o", option))]

    def _remove_cgroup(self) -> None:
        """End all that runs in the machines, and remove their cgroups, lowest first."""
        (self.cgroup / "cgroup.kill").write_text("1")
        for machine in self.of.values():
            machine.process.wait(timeout=30)
        folders = sorted(self.cgroup.rglob("*/"), key=lambda path: len(path.parts), reverse=True)
        for folder in [*folders, self.cgroup]:
            _rmdir(folder)


def _rmdir(cgroup: Path) -> None:
    """Remove a cgroup; its last process may still be on its way out."""
    until = time.monotonic() + 10
    while True:
        try:
            cgroup.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _answers(address: str) -> bool:
    with suppress(OSError), socket.create_connection((address, 22), timeout=0.5) as connection:
        return connection.recv(4) == b"SSH-"
    return False
