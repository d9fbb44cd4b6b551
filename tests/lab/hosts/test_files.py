"""A receiver's file that stays on its host is judged by its size and digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from overlaycast.lab.hosts.files import Sent

WHOLE = bytes(range(256)) * 9000


@pytest.mark.parametrize(
    ("received", "fits"),
    [
        (WHOLE, True),
        (WHOLE[1000:], True),
        (WHOLE[:5000] + WHOLE, True),
        (WHOLE[:5000], False),
        (WHOLE[:-1] + b"!", False),
        (b"", False),
        (WHOLE * 3, False),
    ],
)
def test_it_is_what_was_sent_or_its_end_or_a_beginning_and_all_of_it(
    tmp_path: Path, received: bytes, fits: bool
) -> None:
    file = tmp_path / "sent"
    file.write_bytes(WHOLE)
    seen = Sent(file, is_media=False).received(len(received), hashlib.sha256(received).hexdigest())
    assert (seen.size, seen.fits) == (len(received), fits)
