"""The options of ``send``, ``join`` and ``relay``, each declared once.

Owns: names, defaults, bounds. Refuses: what does not fit, in one line (``settings.load``).
"""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_settings import CliPositionalArg

from overlaycast.agent.ends.naming import Segment, read_segment
from overlaycast.errors import ConfigError
from overlaycast.settings import A_NAME, EndpointText, Settings
from overlaycast.tokens import parse_token, read_token
from overlaycast.wire.frames import MAX_RECORD, TS_PACKET
from overlaycast.wire.group import GroupName, Mode
from overlaycast.wire.hosts import ACCEPTED, is_host, is_literal
from overlaycast.wire.messages import Name, Token

TS_RECORD = 42 * TS_PACKET
"""Default bytes of a live record: whole MPEG-TS packets. ``chunks.cut`` decides for files."""
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


def _host(text: str) -> str:
    """Return a host as it travels: an international name in its ASCII form."""
    try:
        host = text if is_literal(text) else text.encode("idna").decode()
    except UnicodeError:
        host = ""
    if not is_host(host):
        raise ValueError(ACCEPTED)
    return host


def _default_name() -> str:
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[:40] or "host"
    return f"{host if host[0].isalnum() else 'h' + host}-{os.getpid()}"


class NodeOptions(Settings):
    """Options of every member."""

    alternatives = frozenset({"token", "token_file"})

    group: CliPositionalArg[GroupName] = Field(description="the group's name")
    coordinator: str = Field(description="the coordinator, as http://HOST:PORT")
    token: Annotated[Token, AfterValidator(parse_token)] = Field(
        description="the group's join token, also as OVERLAYCAST_TOKEN or in --token-file"
    )
    token_file: Path | None = Field(None, description="file with the join token, instead of --token")
    name: Name = Field(default_factory=_default_name, description="this member's name in logs and reports")
    listen: EndpointText | None = Field(
        None, description="data port, HOST:PORT; default: the first free port of 8471 to 8570"
    )
    advertise: Annotated[str, AfterValidator(_host)] | None = Field(
        None,
        description="host name or address for other members to dial, if this member answers there when the coordinator"
        " calls; default: the address that the coordinator sees",
    )
    allow_local: bool = Field(
        False,
        description="dial other members at loopback, link-local and multicast addresses too; not needed for loopback"
        " where the coordinator is reached on loopback",
    )
    reachable: bool = Field(
        True,
        description="others can open a connection to this member; if not, it can feed only members that it can dial, "
        "and members behind the same NAT",
    )
    dials: bool = Field(
        True, description="this member can open connections; if not, only members that dial it can feed it"
    )
    upload_mbit: float | None = Field(
        None, gt=0, le=1_000_000, description="upload rate that this member offers, in Mbit/s"
    )
    out_degree: int | None = Field(None, ge=0, le=4096, description="maximum children that this member offers to feed")
    max_children: int = Field(
        256,
        ge=1,
        le=4096,
        description="maximum connections from children, including those that keep this member as standby",
    )
    ring_mb: int = Field(
        32, ge=2, le=65536, description="size in MiB of the ring buffer, which serves children that are behind"
    )
    congestion: str | None = Field(
        None, max_length=16, description="TCP congestion control towards children; default: the kernel's"
    )
    journal: Path | None = Field(None, description="append a journal to this file, as JSON lines")

    @model_validator(mode="before")
    @classmethod
    def _token_from_file(cls, values: dict[str, Any]) -> dict[str, Any]:
        path = values.get("token_file")
        if path is None:
            return values
        if "token" in values:
            raise ConfigError("token: accepted is either --token or --token-file")
        if not str(path):
            raise ConfigError(f"token-file: {A_NAME}")
        return values | {"token": read_token(Path(path), "token-file")}


class SendOptions(NodeOptions):
    """Run a source: send a file or standard input to a group."""

    file: CliPositionalArg[str] = Field("-", description="the file to send; - is standard input")
    mode: Mode | None = Field(None, description="the mode to expect; the command ends if the group has another")
    rate: Rate = Field(
        None,
        description="bits per second, as in 8M; default: the clock of an MPEG-TS file, the pace of standard input, and"
        " in a file group as fast as possible (on a slow uplink, 0.95 of its rate often finishes sooner)",
    )
    record_size: int | None = Field(
        None,
        ge=1,
        le=MAX_RECORD,
        description="bytes per record; default: 7896 in a live group (42 MPEG-TS packets), 8 to 64 KiB in a file group",
    )
    standby: bool = Field(
        False,
        description="wait until the group's source goes or fails, and go on with the stream then; reads live input, and"
        " throws it away until then",
    )
    synthetic: float | None = Field(
        None, gt=0, le=1_000_000, description="instead of a file, send this many seconds of generated bytes at --rate"
    )


class JoinOptions(NodeOptions):
    """Run a peer: receive a group, write the stream out, and forward it to other members."""

    output: str = Field(
        "-",
        description="where to write the stream: a file, or - for standard output; %Y%m%dT%H%M%S in the name becomes the"
        " time of the start; an existing recording of a live stream is continued",
    )
    overwrite: bool = Field(False, description="empty or replace an output that exists")
    segment: Annotated[Segment | None, BeforeValidator(read_segment)] = Field(
        None, description="start a new file after this time (10m, 1h) or size (100M); live groups only"
    )
    start_back: float | None = Field(
        None,
        ge=0,
        le=86_400,
        description="begin a live stream this many seconds back, if still held; default: the group's start_back_s",
    )


class RelayOptions(NodeOptions):
    """Run a server that receives and forwards a group, and has no output."""

    backup: bool = Field(False, description="serve only as a backup: feed the children of failed forwarders")
