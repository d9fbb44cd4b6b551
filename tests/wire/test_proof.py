"""What a data port answers when the coordinator calls."""

from __future__ import annotations

import hashlib

from overlaycast.wire.frames import Challenge, Proof
from overlaycast.wire.proof import proof, proof_by_hash


def test_the_hash_of_the_secret_is_enough_to_check_and_each_part_counts() -> None:
    challenge = Challenge(b"n" * 16)
    answer = proof("s" * 32, challenge)
    assert proof_by_hash(hashlib.sha256(b"s" * 32).digest(), challenge) == answer
    assert answer != proof("t" * 32, challenge)
    assert answer != proof("s" * 32, Challenge(b"m" * 16))


def test_the_answer_stays_the_same_from_version_to_version() -> None:
    assert proof("s" * 32, Challenge(bytes(16))) == Proof(
        hashlib.blake2b(
            bytes(16), key=hashlib.sha256(b"s" * 32).digest(), person=b"overlaycast-door", digest_size=32
        ).digest()
    )
