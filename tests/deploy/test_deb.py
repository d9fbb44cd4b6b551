"""The Debian package: what is in it, and its life on a Debian that has nothing else, from dpkg -i to purge."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from overlaycast import __version__
from scripts.release.wheels import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="needs dpkg-deb")]


def output(*words: str | Path) -> str:
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("deb")
    command = [sys.executable, "-m", "scripts.release.deb", "--python", "3.11", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    [path] = out.iterdir()
    return path


def test_everything_is_in_its_place(package: Path) -> None:
    names = {line.split()[5] for line in output("dpkg-deb", "--contents", package).splitlines()}
    for name in (
        "./usr/bin/overlaycast",
        "./usr/lib/overlaycast/bin/python3",
        "./lib/systemd/system/overlaycast-join@.service",
        "./usr/share/man/man1/overlaycast-join.1.gz",
        "./usr/share/bash-completion/completions/overlaycast",
        "./usr/share/zsh/vendor-completions/_overlaycast",
        "./etc/overlaycast/coordinator.toml",
    ):
        assert name in names
    assert not [name for name in names if "__pycache__" in name or "/srv" in name or "/tmp" in name]
    assert output("dpkg-deb", "--info", package, "conffiles") == "/etc/overlaycast/coordinator.toml\n"


@pytest.mark.skipif(not shutil.which("lintian"), reason="needs lintian")
def test_lintian_finds_no_error(package: Path) -> None:
    words = ["lintian", "--fail-on", "error", "--tag-display-limit", "0", str(package)]
    if os.geteuid() == 0:
        words.insert(1, "--allow-root")
    output(*words)


# not looked at: what the system keeps for itself, such as /etc/shadow-, a copy that it makes with every new user
LIFE = """
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
look() {
  find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /tmp -o -path /run -o -path /var/cache \\
    -o -path /var/lib/dpkg -o -path /var/log -o -path '/etc/*-' \\) -prune -o -print | sort
  getent passwd
  getent group
}
look > /tmp/before
dpkg -i /tmp/package.deb
overlaycast --version
MANPAGER=cat man overlaycast-join | head -n 4
getent passwd overlaycast
ls -ld /etc/overlaycast/coordinator.toml
su -s /bin/sh -c 'overlaycast coordinator --listen 127.0.0.1:0 --state /tmp/state --no-trace & sleep 0
  until [ -S /tmp/state/admin.sock ]; do sleep 0.2; done
  overlaycast group create news --coordinator unix:/tmp/state/admin.sock --admin-token-file /tmp/state/admin.token
  kill -TERM $!; wait $!' overlaycast
rm -rf /tmp/state
echo "# mine" >> /etc/overlaycast/coordinator.toml
dpkg -i /tmp/package.deb
tail -n 1 /etc/overlaycast/coordinator.toml
dpkg -r overlaycast
ls /etc/overlaycast
dpkg -P overlaycast
look > /tmp/after
diff /tmp/before /tmp/after && echo "nothing is left"
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a Debian")
@pytest.mark.skipif(not shutil.which("mmdebstrap"), reason="needs mmdebstrap to make a Debian")
def test_its_life_on_a_bare_debian(package: Path, tmp_path: Path) -> None:
    tree = tmp_path / "debian"
    include = "python3,adduser,man-db,passwd"
    output("mmdebstrap", "--quiet", "--variant=minbase", f"--include={include}", "bookworm", tree)
    shutil.copyfile(package, tree / "tmp" / "package.deb")
    (tree / "tmp" / "life").write_text(LIFE)
    mounts = f"mount -t proc proc {tree}/proc; mount --bind /dev {tree}/dev; ip link set lo up; "
    script = mounts + f"exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot {tree} sh /tmp/life"
    said = output("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-euc", script)
    assert f"overlaycast {__version__}\n" in said
    assert "OVERLAYCAST-JOIN(1)" in said
    assert "\n# mine\n" in said, "a setting of the administrator's outlives an upgrade"
    assert said.splitlines()[-1] == "nothing is left"
