"""What is asked of the overlay's tree on a draw, and whether it holds. Pure.

On a map: copies per link and per site, and stretch. Where uplinks have rates: that they carry what is planned, for a
live stream by the load of the fullest link, for a file by what the slowest member gets.
"""

from __future__ import annotations

from typing import Any, Final

from overlaycast.lab.simulate.draw import Draw
from overlaycast.wire.group import GroupSettings

INBOUND: Final = ("inbound_per_site_max", 1.0)
MAP: Final = (("stress_mean", 1.25), ("stretch_median", 1.5), ("stretch_p95", 3.0))
LOAD: Final = ("load_max", 0.9)
RATE_SHARE: Final = 0.9  # of the thinnest link's rate


def goals(draw: Draw, settings: GroupSettings, found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return each goal with its value and whether it is met."""
    asked = [(metric, "<=", limit) for metric, limit in (INBOUND, *(MAP if draw.is_map else ()))]
    rates = [line.rate_mbit for line in draw.net.lines.values() if line.rate_mbit is not None]
    if rates and settings.mode == "live":
        asked.append((LOAD[0], "<=", LOAD[1]))
    elif rates:
        asked.append(("planned_rate_mbit", ">=", round(RATE_SHARE * min(rates), 3)))
    return [_judged(metric, op, limit, found[metric]) for metric, op, limit in asked]


def _judged(metric: str, op: str, limit: float, value: float) -> dict[str, Any]:
    ok = value <= limit if op == "<=" else value >= limit
    return {"metric": metric, "op": op, "limit": limit, "value": value, "ok": ok}
