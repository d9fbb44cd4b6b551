"""The hosts of an Ansible inventory, as an experiment sees them. Pure.

Owns: reading what ``ansible-inventory --list`` prints: groups, addresses, and which host of the experiment a host is to
be. Refuses: values that only Ansible can compute (templates), by host and variable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from overlaycast.errors import ConfigError, MistakesError

LAB_HOST: Final = "overlaycast_lab_host"
PARTS: Final = ("coordinator", "sources", "relays", "backups", "peers")
"""The inventory's groups, by what the deployment has their hosts do."""
SITE: Final = "site_"


@dataclass(frozen=True, slots=True)
class InventoryHost:
    """One host.

    Attributes:
        name: the inventory's.
        address: where other hosts reach it.
        groups: those of ``PARTS`` that it is in.
        site: the inventory's group ``site_NAME`` that it is in, or None.
        lab_host: the host of the experiment that it is to be, if the inventory says so.
    """

    name: str
    address: str
    groups: frozenset[str] = frozenset()
    site: str | None = None
    lab_host: str | None = None


def hosts(listing: Mapping[str, Any], where: str) -> tuple[InventoryHost, ...]:
    """Return the hosts, in the inventory's order.

    Args:
        listing: what ``ansible-inventory --list`` printed.
        where: the inventory, for complaints.

    Raises:
        MistakesError: a host has no address that can be read; one line each.
    """
    variables = listing.get("_meta", {}).get("hostvars", {})
    groups: dict[str, set[str]] = {}
    for group in listing:
        for host in _members(listing, group, frozenset()):
            groups.setdefault(host, set()).add(group)
    wrong: list[ConfigError] = []
    found = []
    for name in sorted(groups, key=_natural):
        own = variables.get(name, {})
        address = str(own.get("overlaycast_address") or own.get("ansible_host") or name)
        if "{{" in address or "{%" in address:
            wrong.append(
                ConfigError(f"{where}: host {name}: its address is a template; accepted: overlaycast_address as text")
            )
            continue
        lab_host = own.get(LAB_HOST)
        sites = sorted(one.removeprefix(SITE) for one in groups[name] if one.startswith(SITE))
        found.append(
            InventoryHost(
                name,
                address,
                frozenset(groups[name] & set(PARTS)),
                sites[0] if sites else None,
                None if lab_host is None else str(lab_host),
            )
        )
    if wrong:
        raise MistakesError(wrong)
    return tuple(found)


def _members(listing: Mapping[str, Any], group: str, above: frozenset[str]) -> Iterator[str]:
    """Return the hosts of a group and of those below it."""
    own = listing.get(group)
    if not isinstance(own, Mapping) or group in above or group == "_meta":
        return
    yield from own.get("hosts", ())
    for child in own.get("children", ()):
        yield from _members(listing, child, above | {group})


def _natural(name: str) -> tuple[Any, ...]:
    """Order ``peer-2`` before ``peer-10``."""
    parts: list[tuple[bool, int, str]] = []
    text = ""
    for one in f"{name}\0":
        if text and one.isdigit() != text[0].isdigit():
            parts.append((not text[0].isdigit(), int(text) if text[0].isdigit() else 0, text))
            text = ""
        text += one
    return tuple(parts)
