"""Tokens and secrets: made here, compared here, kept by others only as hashes.

Owns: their making and their comparison in constant time. Refuses: storing. All of them are 192 random bits or more,
so a plain SHA-256 is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets


def new_token() -> str:
    """Return a token for a command line: URL-safe, 32 characters."""
    return secrets.token_urlsafe(24)


def hash_of(token: str) -> bytes:
    """Return the 32 bytes that are kept instead of the token."""
    return hashlib.sha256(token.encode()).digest()


def matches(token: str, kept: bytes) -> bool:
    """Return whether ``kept`` is this token's hash, in a time that tells nothing."""
    return hmac.compare_digest(hash_of(token), kept)
