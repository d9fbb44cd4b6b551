"""Abilene, the research network of the United States as it was in 2004: eleven cities, fourteen links.

Cities, links and coordinates are public. A link's delay is the time that light in glass takes along the great circle
between its ends; real fibre is longer, so real delays are higher. Each city is a site of two clients behind a slow
uplink. The source is in New York, the backup server in Kansas City.
"""

from overlaycast.lab.routedtopo import RoutedTopo
from overlaycast.lab.topology.graphml import FIBRE_KM_PER_MS, great_circle_km

CORE_MBIT, UPLINK_MBIT, LAN_MBIT = 100, 20, 1000
UPLINK_MS, MEMBERS = 1, 2

# router -> city, degrees north, degrees east
CITIES = {
    "SEA": ("Seattle", 47.61, -122.33),
    "SNV": ("Sunnyvale", 37.37, -122.04),
    "LAX": ("Los Angeles", 34.05, -118.24),
    "DEN": ("Denver", 39.74, -104.99),
    "KSC": ("Kansas City", 39.10, -94.58),
    "HOU": ("Houston", 29.76, -95.37),
    "CHI": ("Chicago", 41.88, -87.63),
    "IPL": ("Indianapolis", 39.77, -86.16),
    "ATL": ("Atlanta", 33.75, -84.39),
    "WDC": ("Washington", 38.91, -77.04),
    "NYC": ("New York", 40.71, -74.01),
}
CABLES = (
    "SEA-SNV SEA-DEN SNV-LAX SNV-DEN LAX-HOU DEN-KSC KSC-HOU KSC-IPL HOU-ATL CHI-IPL CHI-NYC IPL-ATL ATL-WDC WDC-NYC"
)


class Abilene(RoutedTopo):
    """The backbone, an access router per city, and the hosts that run the group."""

    def build(self) -> None:
        for router in CITIES:
            self.router(router)
        for pair in CABLES.split():
            a, b = pair.split("-")
            delay_ms = round(great_circle_km(CITIES[a][1:], CITIES[b][1:]) / FIBRE_KM_PER_MS, 2)
            self.link(a, b, rate_mbit=CORE_MBIT, delay_ms=delay_ms)
        for name, router, role in (
            ("source", "NYC", "server"),
            ("control", "NYC", "coordinator"),
            ("backup", "KSC", "backup"),
        ):
            self.host(name, role=role)
            self.link(router, name, rate_mbit=LAN_MBIT)
        for router in CITIES:
            access = self.router(f"{router}_e")
            self.link(router, access, rate_mbit=UPLINK_MBIT, delay_ms=UPLINK_MS, uplink_of=router.lower())
            for member in range(1, MEMBERS + 1):
                host = self.host(f"{router.lower()}{member}", site=router.lower())
                self.link(access, host, rate_mbit=LAN_MBIT)


topos = {"abilene": Abilene}
