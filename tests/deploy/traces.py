"""What a machine has: files, users, units and rules, to be compared before and after.

Owns: what counts. Refuses: what any use of a machine leaves: logs, caches, and Ansible's own folder.
"""

from __future__ import annotations

from typing import Final

from tests.deploy.machines import Machines

_LIST: Final = (
    "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -path /run -prune"
    " -o -path /tmp -prune -o -path /var/log -prune -o -path /var/cache -prune -o -path /root/.ansible -prune"
    " -o -name __pycache__ -prune -o ! -type d -printf '%p %y %m %u:%g %s %l\\n' -o -type d -printf '%p d %m %u:%g\\n';"
    " find /tmp -mindepth 1 ! -path '*/systemd-private-*';"
    " cat /etc/passwd /etc/group; nft list ruleset; systemctl list-units --all --plain --no-legend 'overlaycast*'"
)
# what useradd and systemd renew however little changes
_PASSING: Final = (
    "/etc/passwd- ",
    "/etc/shadow- ",
    "/etc/group- ",
    "/etc/gshadow- ",
    "/var/lib/systemd/",
    "/root/.ssh",
)


def traces(machines: Machines, name: str) -> set[str]:
    """Return a line for each thing."""
    return {line for line in machines.run(name, _LIST).splitlines() if not line.startswith(_PASSING)}
