"""Two homes behind NAT, an office that can be dialled, and a source with a slow uplink.

Outside hosts cannot open a connection into a home. Hosts in a home can dial out, and can dial each other.
"""

from overlaycast.lab.routedtopo import RoutedTopo

CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 1000, 50, 1000
UPLINK_MS = 8
HOMES = {"home1": 4, "home2": 2}
DESKS = 3


class TwoHomes(RoutedTopo):
    """A core, the source's site, an office, and two NAT routers."""

    def build(self) -> None:
        self.router("core")
        self.host("control", role="coordinator")
        self.link("core", "control", rate_mbit=CORE_MBIT)
        self.router("edge")
        self.link("core", "edge", rate_mbit=UPLINK_MBIT, delay_ms=2, uplink_of="head")
        self.host("source", site="head", role="server")
        self.link("edge", "source", rate_mbit=LAN_MBIT)
        self.router("office")
        self.link("core", "office", rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of="office")
        for number in range(1, DESKS + 1):
            self.host(f"desk{number}", site="office")
            self.link("office", f"desk{number}", rate_mbit=LAN_MBIT)
        for home, members in HOMES.items():
            box = self.router(f"box{home[-1]}", nat=True)
            self.link("core", box, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=home)
            for number in range(1, members + 1):
                host = self.host(f"tv{home[-1]}_{number}", site=home)
                self.link(box, host, rate_mbit=LAN_MBIT)


topos = {"two_homes": TwoHomes}
