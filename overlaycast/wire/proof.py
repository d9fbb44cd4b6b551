"""How a data port shows that it is a certain member's: ``Challenge`` and ``Proof``, keyed with the member's secret.

Owns: the hash. Refuses: to keep secrets. Both sides know the secret from the welcome, the coordinator only its SHA-256.
"""

from __future__ import annotations

import hashlib
from typing import Final

from overlaycast.wire.frames import DIGEST_SIZE, Challenge, Proof

_PERSON: Final = b"overlaycast-door"


def proof(secret: str, challenge: Challenge) -> Proof:
    """Return what the member with this secret answers."""
    return proof_by_hash(hashlib.sha256(secret.encode()).digest(), challenge)


def proof_by_hash(secret_hash: bytes, challenge: Challenge) -> Proof:
    """Return the same to whoever keeps only the SHA-256 of the secret."""
    keyed = hashlib.blake2b(challenge.nonce, key=secret_hash, person=_PERSON, digest_size=DIGEST_SIZE)
    return Proof(keyed.digest())
