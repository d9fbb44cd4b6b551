"""Six sites of eight members below three regional routers, as networks are that nobody prepared for us.

Every router limits its ICMP errors as Linux does. Source and coordinator are one host, itself behind 20 Mbit/s
(experiments say so: ``members: {coordinator: source}``); the sites' uplinks carry as much. No two hosts share a /24,
unless an experiment asks for ``addressing: one24``.

Parameters, after the name: ``regions,anonymous=1`` has a leaf and a regional router that never answer probes;
``mpls=1`` puts a router that traceroute cannot see above the third region; ``apart=1`` gives the way back from the
second region another route; ``ecmp=1`` balances flows over two routers above the first; ``nat=1`` has the last site
behind an address translator; ``far=1`` puts the coordinator, as host ``control``, behind 20 Mbit/s of its own at the
third region.
"""

from overlaycast.lab.routedtopo import RoutedTopo

CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 100, 20, 1000
UPLINK_MS = 1
MEMBERS = 8
REGIONS = {"R1": ("La", "Lb"), "R2": ("Lc", "Ld"), "R3": ("Le", "Lf")}


class Regions(RoutedTopo):
    """The source's router, three regional routers, two leaf routers below each, eight clients below each of those."""

    icmp = "stock"
    addressing = "spread"

    def build(
        self, anonymous: int = 0, mpls: int = 0, apart: int = 0, ecmp: int = 0, nat: int = 0, far: int = 0
    ) -> None:
        self.router("R0", ecmp=bool(ecmp))
        self.host("source", site="head", role="server")
        self.host("control", role="coordinator")
        self.link("R0", "source", rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of="head")
        if not far:
            self.link("R0", "control", rate_mbit=LAN_MBIT)
        for region, leaves in REGIONS.items():
            self.router(region, anonymous=bool(anonymous) and region == "R2", ecmp=bool(ecmp))
            self._above(region, bool(mpls), bool(apart), bool(ecmp))
            for leaf in leaves:
                site = leaf[1]
                self.router(leaf, anonymous=bool(anonymous) and leaf == "La", nat=bool(nat) and leaf == "Lf")
                self.link(region, leaf, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=site)
                for number in range(1, MEMBERS + 1):
                    self.host(f"{site}{number}", site=site)
                    self.link(leaf, f"{site}{number}", rate_mbit=LAN_MBIT)
        if far:
            self.router("K")
            self.link("R3", "K", rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS)
            self.link("K", "control", rate_mbit=LAN_MBIT)

    def _above(self, region: str, mpls: bool, apart: bool, ecmp: bool) -> None:
        if region == "R1" and ecmp:
            for way in ("X1", "X2"):
                self.router(way)
                self.link("R0", way, rate_mbit=CORE_MBIT)
                self.link(way, region, rate_mbit=CORE_MBIT)
        elif region == "R3" and mpls:
            self.router("M", hides_ttl=True)
            self.link("R0", "M", rate_mbit=CORE_MBIT)
            self.link("M", region, rate_mbit=CORE_MBIT)
        else:
            self.link("R0", region, rate_mbit=CORE_MBIT, back={"cost": 9} if apart and region == "R2" else None)
            if apart and region == "R2":
                self.router("B")  # only the way back leads through it
                self.link("R0", "B", rate_mbit=CORE_MBIT, cost=9, back={"cost": 0})
                self.link("B", region, rate_mbit=CORE_MBIT, cost=9, back={"cost": 0})


topos = {"regions": Regions}
