"""What proves a grant on a data link: every part that it is bound to counts, bit by bit; the grant is never shown."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.wire import grants
from overlaycast.wire.frames import GRANT_SIZE, NONCE_SIZE, Enter, Offer, Proof, encode
from overlaycast.wire.grants import Bond, Nonces

U64: Final = (1 << 64) - 1
ids = st.integers(0, (1 << 53) - 1)
nonces = st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,20}", fullmatch=True)
bonds = st.builds(Bond, names, ids, ids)
links = st.builds(Nonces, nonces, nonces, st.booleans())
secrets = st.binary(min_size=GRANT_SIZE, max_size=GRANT_SIZE)
asked = st.builds(Enter, ids, ids, st.integers(0, U64), st.integers(0, U64), st.just(bytes(32)), digests=st.booleans())


def flipped(value: Any, bit: int) -> Any:
    """Return a value of the same kind with another bit."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ 1 << bit % 53
    if isinstance(value, str):
        return (
            value[: bit % len(value)] + ("y" if value[bit % len(value)] == "x" else "x") + value[bit % len(value) + 1 :]
        )
    at = bit // 8 % len(value)
    return value[:at] + bytes([value[at] ^ 1 << bit % 8]) + value[at + 1 :]


@given(secrets, bonds, links, asked, st.data())
def test_an_entering_child_is_believed_only_if_no_bit_has_changed(
    grant: bytes, bond: Bond, link: Nonces, unproven: Enter, data: st.DataObject
) -> None:
    said = grants.enter(grant, bond, link, unproven)
    assert grants.enters(grant, bond, link, said)
    assert replace(said, proof=b"") == replace(unproven, child=bond.child, proof=b"")
    bit = data.draw(st.integers(0, 255))
    assert not grants.enters(flipped(grant, bit), bond, link, said)
    for name in ("group", "parent", "child"):
        assert not grants.enters(grant, replace(bond, **{name: flipped(getattr(bond, name), bit)}), link, said)
    for name in ("dialling", "dialled", "calls"):
        assert not grants.enters(grant, bond, replace(link, **{name: flipped(getattr(link, name), bit)}), said)
    for name in ("child", "epoch", "rank", "resume_from", "proof", "digests"):
        assert not grants.enters(grant, bond, link, replace(said, **{name: flipped(getattr(said, name), bit)}))


@given(secrets, bonds, links, ids, st.data())
def test_an_offering_parent_is_believed_only_if_no_bit_has_changed(
    grant: bytes, bond: Bond, link: Nonces, epoch: int, data: st.DataObject
) -> None:
    said = grants.offer(grant, bond, link, epoch)
    assert grants.offers(grant, bond, link, said)
    bit = data.draw(st.integers(0, 255))
    assert not grants.offers(flipped(grant, bit), bond, link, said)
    for name in ("group", "parent", "child"):
        assert not grants.offers(grant, replace(bond, **{name: flipped(getattr(bond, name), bit)}), link, said)
    for name in ("dialling", "dialled", "calls"):
        assert not grants.offers(grant, bond, replace(link, **{name: flipped(getattr(link, name), bit)}), said)
    for name in ("parent", "epoch", "proof"):
        assert not grants.offers(grant, bond, link, replace(said, **{name: flipped(getattr(said, name), bit)}))


@given(secrets, bonds, links, st.data())
def test_an_answering_parent_is_believed_only_if_no_bit_has_changed(
    grant: bytes, bond: Bond, link: Nonces, data: st.DataObject
) -> None:
    said = grants.answer(grant, bond, link)
    assert grants.answers(grant, bond, link, said)
    bit = data.draw(st.integers(0, 255))
    assert not grants.answers(flipped(grant, bit), bond, link, said)
    assert not grants.answers(grant, bond, link, Proof(flipped(said.digest, bit)))
    for name in ("group", "parent", "child"):
        assert not grants.answers(grant, replace(bond, **{name: flipped(getattr(bond, name), bit)}), link, said)
    for name in ("dialling", "dialled", "calls"):
        assert not grants.answers(grant, bond, replace(link, **{name: flipped(getattr(link, name), bit)}), said)


@given(secrets, bonds, links, asked)
def test_nobody_can_send_back_what_the_other_end_has_said(
    grant: bytes, bond: Bond, link: Nonces, unproven: Enter
) -> None:
    enter = grants.enter(grant, bond, link, unproven)
    offer = grants.offer(grant, bond, link, unproven.epoch)
    answer = grants.answer(grant, bond, link)
    assert len({enter.proof, offer.proof, answer.digest}) == 3
    assert not grants.answers(grant, bond, link, Proof(enter.proof))
    assert not grants.answers(grant, bond, link, Proof(offer.proof))
    assert not grants.offers(grant, bond, link, Offer(bond.parent, unproven.epoch, enter.proof))


@given(secrets, bonds, links, asked)
def test_no_frame_shows_the_grant(grant: bytes, bond: Bond, link: Nonces, unproven: Enter) -> None:
    said = (
        grants.enter(grant, bond, link, unproven),
        grants.offer(grant, bond, link, 1),
        grants.answer(grant, bond, link),
    )
    # the fixed parts may by chance have what a grant of zeros has
    assert all(grant not in encode(frame)[-32:] for frame in said)


@given(bonds, links, st.integers(1, 16))
def test_no_two_groups_or_nonces_run_into_each_other(bond: Bond, link: Nonces, cut: int) -> None:
    """What one part ends with is not taken for what the next one begins with."""
    other = replace(link, dialling=link.dialling[:-cut], dialled=link.dialling[-cut:] + link.dialled)
    assert grants.answer(bytes(16), bond, link) != grants.answer(bytes(16), bond, other)
    longer = replace(bond, group=bond.group + "\0")
    assert grants.answer(bytes(16), bond, link) != grants.answer(bytes(16), longer, link)


BOND: Final = Bond("g", 1, 2)
NONCES: Final = Nonces(b"a" * 16, b"b" * 16)


def _expected(who: bytes, dialled_by: bytes, said: bytes) -> bytes:
    parts = (who, dialled_by, b"g", (1).to_bytes(8, "big") + (2).to_bytes(8, "big"), b"a" * 16, b"b" * 16, said)
    text = b"overlaycast data link 2\0" + b"".join(len(part).to_bytes(2, "big") + part for part in parts)
    return hmac.new(b"k" * 16, text, hashlib.sha256).digest()


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            lambda: grants.enter(b"k" * 16, BOND, NONCES, Enter(2, 3, 4, 5, b"", digests=True)).proof,
            _expected(b"child", b"child", b"".join(n.to_bytes(8, "big") for n in (3, 4, 5)) + b"\1"),
        ),
        (
            lambda: grants.offer(b"k" * 16, BOND, replace(NONCES, calls=True), 3).proof,
            _expected(b"caller", b"parent", (3).to_bytes(8, "big")),
        ),
        (lambda: grants.answer(b"k" * 16, BOND, NONCES).digest, _expected(b"parent", b"child", b"")),
    ],
)
def test_proofs_stay_the_same_from_version_to_version(made: Callable[[], bytes], expected: bytes) -> None:
    assert made() == expected
