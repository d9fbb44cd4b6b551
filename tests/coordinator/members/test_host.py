"""How a caller's address is written."""

from __future__ import annotations

import pytest

from overlaycast.coordinator.members.link import plain_host


@pytest.mark.parametrize(
    ("shown", "called"),
    [
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("a name", "a name"),
    ],
)
def test_an_address_is_told_as_others_can_call_it(shown: str, called: str) -> None:
    assert plain_host(shown) == called
