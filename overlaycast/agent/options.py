"""The options of ``send``, ``join`` and ``relay``, each declared once.

Owns: names, defaults, bounds. Refuses: what does not fit, in one line (``settings.load``).
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_settings import CliPositionalArg

from overlaycast.settings import Settings
from overlaycast.wire.frames import MAX_RECORD
from overlaycast.wire.group import GroupName, Mode
from overlaycast.wire.messages import Name, Token

TS_RECORD = 42 * 188
"""Bytes of a live record unless told: whole MPEG-TS packets. How a file is cut is for ``chunks.cut``."""
_RATE = re.compile(r"^(\d+(?:\.\d+)?)([kKMG]?)$")
_UNIT = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "": 1.0}


def _mbit(text: Any) -> Any:
    """Return Mbit/s for ``8M``, ``800k``, ``1G``, or a bare number of bits a second."""
    if text is None:
        return None
    found = _RATE.match(str(text))
    rate = float(found[1]) * _UNIT[found[2]] / 1e6 if found else 0.0
    if not 0 < rate <= 1_000_000:
        raise ValueError("accepted is a number of bits per second above 0 with k, M or G, as in 8M")
    return rate


Rate = Annotated[float | None, BeforeValidator(_mbit)]


def _resolvable(url: str) -> str:
    try:
        (urlsplit(url).hostname or "").encode("idna")
    except (UnicodeError, ValueError):
        raise ValueError("accepted is http://HOST:PORT") from None
    return url


def _default_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:40] or "host"
    return f"{host if host[0].isalnum() else 'h' + host}-{os.getpid()}"


class NodeOptions(Settings):
    """What every node takes."""

    group: CliPositionalArg[GroupName] = Field(description="the group's name")
    coordinator: Annotated[str, AfterValidator(_resolvable)] = Field(description="the coordinator, as http://HOST:PORT")
    token: Token = Field(description="the group's join token; better given as OVERLAYCAST_TOKEN")
    name: Name = Field(default_factory=_default_name, description="how people call this member")
    listen: str | None = Field(None, description="data port, HOST:PORT; the first free one of 8471 to 8570 unless told")
    advertise: str | None = Field(
        None, max_length=64, description="the host under which others reach the data port; what the coordinator sees"
    )
    reachable: bool = Field(
        True, description="others can open connections to this member; if not, it feeds neighbours and whom it can call"
    )
    dials: bool = Field(
        True, description="this member can open connections to others; if not, it is fed by those who can call it"
    )
    upload_mbit: float | None = Field(None, gt=0, le=1_000_000, description="upload that this member offers, Mbit/s")
    out_degree: int | None = Field(None, ge=0, le=4096, description="most children that this member offers to feed")
    max_children: int = Field(256, ge=1, le=4096, description="connections from children at once, standbys included")
    ring_mb: int = Field(32, ge=2, le=65536, description="MiB of the stream kept for children that are late")
    congestion: str | None = Field(None, max_length=16, description="TCP congestion control towards children")
    journal: Path | None = Field(None, description="file for the journal, JSON lines")


class SendOptions(NodeOptions):
    """A source: feeds a file or standard input to a group."""

    file: CliPositionalArg[str] = Field("-", description="what to send; - is standard input")
    mode: Mode | None = Field(None, description="live or file; the group's own unless told, and refused if it differs")
    rate: Rate = Field(
        None,
        description="bits per second (8M); unless told the media's own clock (MPEG-TS), in a file group as fast as it"
        " goes (0.95 of a thin uplink is often sooner done)",
    )
    record_size: int | None = Field(
        None,
        ge=1,
        le=MAX_RECORD,
        description="bytes per record; live 7896 (42 MPEG-TS packets), file 8 to 64 KiB by its size unless told",
    )
    synthetic: float | None = Field(
        None, gt=0, le=1_000_000, description="instead of a file: so many seconds of made-up bytes at --rate"
    )


class JoinOptions(NodeOptions):
    """A peer: receives a group, writes it out, forwards when told to."""

    output: str = Field("-", description="where the stream goes: a file, or - for standard output")
    start_back: float | None = Field(
        None,
        ge=0,
        le=86_400,
        description="begin a live stream so many seconds back, if that is held; the group's start_back_s unless told",
    )


class RelayOptions(NodeOptions):
    """A planted server: receives and forwards, has no output."""

    backup: bool = Field(False, description="take over the children of failed forwarders")
