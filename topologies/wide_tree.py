"""Sixteen sites of three clients, all directly below one core router: a tree that needs out-degree, not depth.

Uplinks differ as real ones do: every fourth site has ten times the rate of the others and a smaller delay, and every
uplink sends more slowly than it receives.
"""

from overlaycast.lab.routedtopo import RoutedTopo

SITES, MEMBERS = 16, 3
CORE_MBIT, LAN_MBIT = 1000, 1000
THIN = {"rate_mbit": 20, "delay_ms": 8, "back": {"rate_mbit": 10}}
GOOD = {"rate_mbit": 200, "delay_ms": 2, "back": {"rate_mbit": 100}}


class WideTree(RoutedTopo):
    """The core, the hosts that run the group beside it, and the sites."""

    def build(self) -> None:
        self.router("core")
        for name, role in (("source", "server"), ("control", "coordinator"), ("backup", "backup")):
            self.host(name, role=role)
            self.link("core", name, rate_mbit=CORE_MBIT)
        for site in range(1, SITES + 1):
            router = self.router(f"R{site}")
            self.link("core", router, **(THIN if site % 4 else GOOD), uplink_of=f"site{site}")
            for member in range(1, MEMBERS + 1):
                host = self.host(f"h{site}_{member}", site=f"site{site}")
                self.link(router, host, rate_mbit=LAN_MBIT)


topos = {"wide_tree": WideTree}
