"""Which values a metric can have at all, so that an expectation that no value meets is a mistake in the file. Pure."""

from __future__ import annotations

from math import inf
from typing import Final

from overlaycast.lab.results.metrics import METRICS

TRUTHS: Final = frozenset({"sha256_ok", "media_readable", "heir_fed_from_outside", "multicast_blocked", "reason_given"})
"""These are yes or no."""
SHARES: Final = frozenset({"receivers_finished", "fed_as_planned"})
"""These are at most 1."""
COUNTS: Final = frozenset(
    {
        *(name for name, metric in METRICS.items() if metric.unit in ("records", "frames", "hops", "bytes")),
        *("inbound_copies_by_tree", "affected", "moved", "moved_below_top", "moved_while_well", "bystanders_moved"),
        *("fed_by_backup", "damaged", "unnoticed", "troubles", "links_by_call", "primaries"),
        *("unexplained_gaps", "links_failed", "asked_in_vain"),
    }
)
"""These are whole numbers. All metrics are 0 or more."""
OF_RECEIVERS: Final = frozenset({"affected", "damaged", "unnoticed", "links_by_call", "primaries"})
"""These count receivers."""


def impossible(metric: str, op: str, limit: float | bool, most: float = inf) -> str | None:
    """Return why no value of a metric can meet an expectation; None if one can.

    Args:
        metric: what is measured.
        op: how it is compared.
        limit: with what.
        most: the largest value that the metric can have in this experiment, if that is known.
    """
    if metric in TRUTHS:
        met = [value for value in (False, True) if _holds(float(value), op, float(limit))]
        return None if met else f"{op} {_text(limit)} can never be met; {metric} is true or false"
    most = min(most, 1.0 if metric in SHARES else inf)
    met_by = {
        "<": limit > 0,
        "<=": limit >= 0,
        ">": limit < most,
        ">=": limit <= most,
        "==": 0 <= limit <= most and (metric not in COUNTS or float(limit).is_integer()),
        "!=": most > 0 or limit != 0,
    }
    if met_by[op]:
        return None
    kind = "a whole number, " if metric in COUNTS else ""
    values = f"{kind}0 or more" if most == inf else f"{kind}0 to {most:g}"
    return f"{op} {_text(limit)} can never be met; {metric} is {values}"


def _holds(value: float, op: str, limit: float) -> bool:
    return {
        "<": value < limit,
        "<=": value <= limit,
        ">": value > limit,
        ">=": value >= limit,
        "==": value == limit,
        "!=": value != limit,
    }[op]


def _text(limit: float | bool) -> str:
    return str(limit).lower() if isinstance(limit, bool) else f"{limit:g}"
