"""Where a coordinator is reached: it either works, or is refused in one line that says what is accepted."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.urls import ADMIN, MEMBER, CoordinatorUrl, parse_coordinator


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("http://127.0.0.1:8470", CoordinatorUrl(False, "127.0.0.1", 8470)),
        ("HTTP://Server:8470/", CoordinatorUrl(False, "server", 8470)),
        ("https://coordinator.example", CoordinatorUrl(True, "coordinator.example", 443)),
        ("http://coordinator.example.", CoordinatorUrl(False, "coordinator.example.", 80)),
        ("http://[::1]:8470", CoordinatorUrl(False, "::1", 8470)),
        ("http://[fe80::1%eth0]:8470", CoordinatorUrl(False, "fe80::1%eth0", 8470)),
        ("http://[fe80::1%25eth0]:8470", CoordinatorUrl(False, "fe80::1%eth0", 8470)),
        ("http://bücher.example:1", CoordinatorUrl(False, "bücher.example", 1)),
        ("unix:state/admin.sock", CoordinatorUrl(file=Path("state/admin.sock"))),
    ],
)
def test_what_works(text: str, meant: CoordinatorUrl) -> None:
    assert parse_coordinator(text) == meant


@pytest.mark.parametrize(
    ("text", "but"),
    [
        ("", ""),
        ("127.0.0.1:8470", ""),
        ("ws://h:1", ""),
        ("http://", ""),
        ("http://:8470", ""),
        ("http://h:99999", ""),
        ("http://h:0", ""),
        ("http://h:-1", ""),
        ("http://h: 8470", ""),
        ("http://h:84\n70", ""),
        ("http://h\r:8470", ""),
        ("http://::1:8470", ""),
        ("http://[::1", ""),
        ("http://[127.0.0.1]:1", ""),
        ("http://a..b:1", ""),
        ("http://-a:1", ""),
        (f"http://{'a' * 64}:1", ""),
        ("http://user:secret@h:1", ", without a user name"),
        ("http://h:1/x", ", without a path"),
        ("http://h:1?x", ", without a query"),
        ("http://h:1#x", ", without a query"),
    ],
)
def test_what_is_refused(text: str, but: str) -> None:
    with pytest.raises(ValueError, match=r"^accepted is") as refused:
        parse_coordinator(text)
    assert str(refused.value) == ADMIN + but


def test_a_member_needs_tcp() -> None:
    with pytest.raises(ValueError, match=MEMBER):
        parse_coordinator("unix:x", MEMBER)


@given(st.text(max_size=40), st.sampled_from(["", "http://", "https://", "http://["]))
def test_any_text_is_refused_or_can_be_written_again(text: str, scheme: str) -> None:
    try:
        url = parse_coordinator(scheme + text)
    except ValueError:
        return
    assert url.file or parse_coordinator(f"http{'s' * url.secure}://{url.authority}") == url


def test_link_local() -> None:
    assert parse_coordinator("http://[fe80::1%eth0]:1").is_link_local
    assert parse_coordinator("http://169.254.1.1:1").is_link_local
    assert not parse_coordinator("http://localhost:1").is_link_local
