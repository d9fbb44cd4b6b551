"""A binary tree of routers, five levels deep, with clients at its leaves: eight sites of four.

Most links of a path are inside one branch, so good clusters are two routers above the clients, not at the first router.
"""

from overlaycast.lab.routedtopo import RoutedTopo

DEPTH, SITE_LEVEL, MEMBERS = 5, 3, 2
CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 100, 20, 1000
CORE_MS, UPLINK_MS = 3, 5


class DeepTree(RoutedTopo):
    """Router ``t`` on top, ``t0`` and ``t1`` below it, and so on; source, coordinator and backup server at ``t``."""

    def build(self) -> None:
        self.router("t")
        for name, role in (("source", "server"), ("control", "coordinator"), ("backup", "backup")):
            self.host(name, role=role)
            self.link("t", name, rate_mbit=LAN_MBIT)
        for digit in "01":
            self.branch("t", digit)

    def branch(self, above: str, digit: str) -> None:
        """Add a router and everything below it."""
        here = self.router(above + digit)
        level, site = len(here) - 1, f"site{here[1 : SITE_LEVEL + 1]}"
        if level < SITE_LEVEL:
            self.link(above, here, rate_mbit=CORE_MBIT, delay_ms=CORE_MS)
        elif level == SITE_LEVEL:
            self.link(above, here, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=site)
        else:
            self.link(above, here, rate_mbit=LAN_MBIT)
        if level < DEPTH - 1:
            for lower in "01":
                self.branch(here, lower)
            return
        for member in range(1, MEMBERS + 1):
            host = self.host(f"h{here[1:]}_{member}", site=site)
            self.link(here, host, rate_mbit=LAN_MBIT)


topos = {"deep_tree": DeepTree}
