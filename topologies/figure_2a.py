"""Figure 2A: a server, its clients, and the routers between them, none of which forwards multicast.

Clients 202a, 202b and 202c share leaf router A. Clients 202d to 202f are behind other leaf routers below the same
router B. Three more sites are attached to the core. The only way into a site is its uplink of 20 Mbit/s.

To draw it: ``overlaycast lab show topologies/figure_2a.py``. To load it with stock Mininet: ``mn --custom
topologies/figure_2a.py --topo figure_2a --controller none --switch lxbr``.
"""

from overlaycast.lab.routedtopo import RoutedTopo

CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 100, 20, 1000
CORE_MS, UPLINK_MS = 2, 5

# site -> where its uplink ends in the core, its top router, and the leaf routers below it with their clients
SITES = {
    "north": ("core1", "B", {"A": "abc", "B2": "de", "B3": "f"}),
    "east": ("core1", "C", {"C1": "gh", "C2": "i"}),
    "south": ("core2", "D", {"D1": "jk"}),
    "west": ("core2", "E", {"E1": "lm"}),
}


class Figure2A(RoutedTopo):
    """Thirteen clients in four sites; source and coordinator at the server's router; a backup server at the core."""

    def build(self) -> None:
        for name in ("RS", "core1", "core2"):
            self.router(name)
        self.link("RS", "core1", rate_mbit=CORE_MBIT, delay_ms=CORE_MS)
        self.link("core1", "core2", rate_mbit=CORE_MBIT, delay_ms=CORE_MS)
        for name, router, role in (
            ("source", "RS", "server"),
            ("control", "RS", "coordinator"),
            ("backup", "core1", "backup"),
        ):
            self.host(name, role=role)
            self.link(name, router, rate_mbit=LAN_MBIT)
        for site, (core, top, leaves) in SITES.items():
            self.router(top)
            self.link(core, top, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=site)
            for leaf, clients in leaves.items():
                self.router(leaf)
                self.link(top, leaf, rate_mbit=LAN_MBIT)
                for letter in clients:
                    self.host(f"202{letter}", site=site)
                    self.link(leaf, f"202{letter}", rate_mbit=LAN_MBIT)


topos = {"figure_2a": Figure2A}
