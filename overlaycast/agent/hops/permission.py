"""Which addresses we connect to because the coordinator says so: never our own host's, unless we are told to.

Owns: the rule, and telling people once of each address that it forbids. Refuses: sockets, and the coordinator's own
address, which the user names. Pure.

A coordinator that is hostile, or believes somebody who is, could otherwise have us knock at services that listen on
loopback, or on the link beside us, where nobody else can.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from overlaycast.wire.hosts import is_local, is_loopback, plain

MOST_TOLD: Final = 16


class Permission:
    """Called with an address, a literal one: may we connect to it?

    Args:
        allow_local: yes, to any.
        say: prints a line for people.
    """

    def __init__(self, allow_local: bool, say: Callable[[str], None]) -> None:
        self._allow_local = allow_local
        self._say = say
        self._on_loopback = False
        self._told: set[str] = set()

    def coordinator_at(self, local: str) -> None:
        """Our end of the control link has this address: if it is a loopback one, the coordinator is on our host."""
        self._on_loopback = is_loopback(local)

    def __call__(self, address: str) -> bool:
        """May we?"""
        if self._allow_local or not is_local(address) or (self._on_loopback and is_loopback(address)):
            return True
        host = plain(address)
        if host not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(host)
            self._say(f"does not connect to {host}, which is no address of another host (--allow-local)")
        return False
