"""A group's times change while its members run."""

from __future__ import annotations

import pytest

from overlaycast.failover.words import AskedInVain, CloseLink, Complain, SendStart
from tests.failover.test_machine_corners import Driver, P, S


def asked_at(driver: Driver, start: float, until: float = 30.0) -> float:
    """Let a silence begin and return when the standby is asked."""
    now: float | None = start
    while now is not None and now < until:
        now = driver.machine.next_deadline()
        assert now is not None
        driver.machine.tick(now)
        if any(isinstance(action, SendStart) and action.link == driver.links[S] for action in driver.do()):
            return now
    raise AssertionError("nobody was asked")


@pytest.mark.parametrize(
    ("silence_s", "heartbeat_s", "limit"), [(0.5, 0.25, 0.5), (0.02, 0.01, 0.02), (0.01, 0.1, 0.14)]
)
def test_the_limit_of_silence_follows(silence_s: float, heartbeat_s: float, limit: float) -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.retime(silence_s, heartbeat_s, 3.0, 1.0)
    assert asked_at(driver, 1.0) == pytest.approx(1.0 + limit, abs=limit / 2)


def test_a_parent_that_kept_to_the_former_times_is_not_silent() -> None:
    driver = Driver()
    driver.machine.retime(1.0, 0.5, 3.0, 0.0)
    driver.streaming()
    driver.machine.retime(0.05, 0.025, 3.0, 0.9)
    driver.machine.tick(0.92)
    assert driver.do() == []
    assert driver.machine.next_deadline() == pytest.approx(0.95)


def test_the_wait_for_a_stalled_parent_follows() -> None:
    driver = Driver(flag_s=3.0)
    driver.streaming(standbys=())
    driver.machine.heartbeat(driver.links[P], True, 0.01)
    driver.machine.retime(0.08, 0.025, 1.0, 0.02)
    for _ in range(200):
        now = driver.machine.next_deadline()
        assert now is not None
        driver.machine.heartbeat(driver.links[P], True, min(now, 0.01 + 1.0) - 0.001)
        driver.machine.tick(now)
        if any(isinstance(one, (Complain, AskedInVain, CloseLink)) for one in driver.do()):
            break
    assert now == pytest.approx(1.01, abs=0.3)


def test_a_warm_standby_may_be_quiet_for_longer_where_heartbeats_are_rare() -> None:
    driver = Driver()
    driver.streaming()
    driver.machine.retime(1.0, 0.5, 3.0, 0.0)
    driver.machine.data(driver.links[P], True, 5.0, 1000)
    driver.machine.tick(5.1)
    assert driver.machine.standbys_ready == (S,)
