"""From what is known of routers to the route to one target. Pure."""

from __future__ import annotations

from overlaycast.discovery.survey.questions import DISTANCE
from overlaycast.discovery.survey.route import Route, Source
from overlaycast.discovery.survey.spots import FAR, Point, Target


def route_to(target: Target) -> Route:
    """Return the route as far as it is known.

    While more may answer beyond the last router of a target that does not answer, the route ends in a silent hop: the
    target's own router is not known. So it does where nothing but the routing table says anything.
    """
    known = _known(target)
    last, ends_silent = _last(target, known)
    opens = target.hop == FAR and target.ended is None and _asks(target)
    routers: list[str | None] = []
    sources: list[Source] = []
    rtts: list[float | None] = []
    below: Point | Target = target
    # from the target upward: what asks about a silent hop is the nearest thing below it
    for hop in range(last, 0, -1):
        point = known.get(hop)
        if point is None:
            question = below.questions.get(hop)
            opens = opens or (question is not None and not question.settled)
            settled = question is not None and question.settled
            routers.append(None)
            sources.append("anonymous" if settled else "silent")
            rtts.append(None)
            continue
        below = point
        own = target.own.get(hop) is point
        routers.append(point.router)
        sources.append("answered" if own else "table" if point.tabled else "guessed")
        rtts.append(_ms(target.rtts.get(hop) if own else point.rtt))
    if ends_silent:
        routers.insert(0, None)
        sources.insert(0, "silent")
        rtts.insert(0, None)
    if target.reached:
        rtts.insert(0, _ms(target.rtts.get(0)))
    return Route(
        target.address, (*reversed(routers),), target.reached, (*reversed(rtts),), (*reversed(sources),), opens
    )


def _known(target: Target) -> dict[int, Point]:
    """Return the routers on the way by distance: those that answered it first, then what is known to be above them."""
    known = dict(target.own)
    for start in (target.above, *(target.own[hop] for hop in sorted(target.own, reverse=True)), target.gateway):
        point = start
        while point is not None:
            known.setdefault(point.hop, point)
            point = point.above
    return known


def _last(target: Target, known: dict[int, Point]) -> tuple[int, bool]:
    """Return the distance of the last router, and whether a silent one is to follow."""
    if target.hop != FAR:
        return target.hop - 1, False
    ended = target.ended
    if ended is not None:
        nearer = known.get(ended.hop - 1)  # some count a hop more in what they refuse to pass on
        return ended.hop - (nearer is not None and nearer.router == ended.router), False
    far = max(known, default=0)
    if not far:
        return 0, False
    return far, not target.own or _asks(target)


def _asks(target: Target) -> bool:
    """Whether more is asked of a target that has not answered: its distance, or what is beyond what is known."""
    return any(
        not question.settled for hop, question in target.questions.items() if hop == DISTANCE or hop > _top(target)
    )


def _top(target: Target) -> int:
    return max(target.own, default=0)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
