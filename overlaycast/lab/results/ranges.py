"""Which values a metric can have: an expectation that none of them meets, or each, is a mistake in the file. Pure.

Owns: each metric's least and greatest value, and which are whole numbers. Refuses: what only a run can show.

An expectation that no value meets always fails, and one that every value meets never does: neither says anything of a
run. Ranges are as narrow as the definition of the metric, and the members of the experiment, allow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Final

from overlaycast.lab.results.metrics import METRICS

TRUTHS: Final = frozenset({"sha256_ok", "media_readable", "heir_fed_from_outside", "multicast_blocked", "reason_given"})
"""These are yes or no."""
SHARES: Final = frozenset({"receivers_finished", "fed_as_planned", "complete_paths", "rates_close"})
"""These are at most 1."""
COUNTS: Final = frozenset(
    {
        *(name for name, metric in METRICS.items() if metric.unit in ("records", "frames", "hops", "bytes")),
        *("inbound_copies_by_tree", "affected", "moved", "moved_below_top", "moved_while_well", "bystanders_moved"),
        *("fed_by_backup", "damaged", "unnoticed", "troubles", "links_by_call", "primaries"),
        *("unexplained_gaps", "links_failed", "asked_in_vain"),
    }
)
"""These are whole numbers."""
OF_RECEIVERS: Final = frozenset({"affected", "damaged", "unnoticed", "links_by_call", "primaries"})
"""These count receivers."""
OF_MEMBERS: Final = frozenset({"moved", "moved_below_top", "moved_while_well", "bystanders_moved", "depth"})
"""These count members, or the hops between them: at most all but the source."""
_LEAST: Final = {"depth": 1.0, "inbound_copies_by_tree": 1.0}
"""Of these 1 is the least: whoever is fed is a hop from somebody, and one member of a site is fed from outside it."""
_OPPOSITE: Final = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


@dataclass(frozen=True, slots=True)
class Range:
    """The values from ``least`` to ``most``; only the whole numbers of them if ``whole``."""

    least: float = 0.0
    most: float = inf
    whole: bool = False

    def meets(self, op: str, limit: float) -> bool:
        """Return whether any value meets this."""
        if op == "==":
            return self.least <= limit <= self.most and (not self.whole or float(limit).is_integer())
        return {
            "<": self.least < limit,
            "<=": self.least <= limit,
            ">": self.most > limit,
            ">=": self.most >= limit,
            "!=": not self.least == limit == self.most,
        }[op]

    def __str__(self) -> str:
        values = f"{self.least:g} or more" if self.most == inf else f"{self.least:g} to {self.most:g}"
        return f"a whole number, {values}" if self.whole else values


def values_of(metric: str) -> Range:
    """Return the values that a metric can have in any experiment."""
    if metric in TRUTHS:
        return Range(0.0, 1.0, whole=True)
    return Range(_LEAST.get(metric, 0.0), 1.0 if metric in SHARES else inf, metric in COUNTS)


def pointless(metric: str, op: str, limit: float | bool, values: Range | None = None) -> str | None:
    """Return why an expectation is a mistake, for no value of the metric meets it, or each does; None if it is none.

    Args:
        metric: what is measured.
        op: how it is compared.
        limit: with what.
        values: those that the metric can have in this experiment, if that is known; else those that it can have in any.
    """
    values = values_of(metric) if values is None else values
    if not values.meets(op, float(limit)):
        never = "can never be met"
    elif not values.meets(_OPPOSITE[op], float(limit)):
        never = "says nothing, for every value meets it"
    else:
        return None
    kind = "true or false" if metric in TRUTHS else str(values)
    return f"{op} {_text(limit)} {never}; {metric} is {kind}"


def in_experiment(receivers: int, backups: int, symmetric: bool) -> dict[str, Range]:
    """Return the values of the metrics for which the experiment matters.

    Args:
        receivers: number of peers.
        backups: number of backup servers.
        symmetric: every link has the same delay both ways: then no way along the tree is shorter than the direct one.
    """
    fed = receivers + backups
    most = {
        **dict.fromkeys(OF_RECEIVERS, receivers),
        **dict.fromkeys(OF_MEMBERS, fed),
        "fed_by_backup": fed if backups else 0,
        "inbound_copies_by_tree": fed,
    }
    found = {metric: replace(values_of(metric), most=float(value)) for metric, value in most.items()}
    return found | dict.fromkeys(("stretch_mean", "stretch_p95"), Range(1.0 if symmetric else 0.0))


def _text(limit: float | bool) -> str:
    return str(limit).lower() if isinstance(limit, bool) else f"{limit:g}"
