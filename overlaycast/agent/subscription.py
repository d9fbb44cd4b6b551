"""What a node says of itself when it subscribes, and where others reach its data port.

Owns: the first message of each control connection. Refuses: sockets. Pure.
"""

from __future__ import annotations

from overlaycast.agent.options import NodeOptions
from overlaycast.settings import parse_endpoint
from overlaycast.wire.group import MemberLimits
from overlaycast.wire.messages import VERSION, Address, Resume, Role, Subscribe


def subscription(options: NodeOptions, role: Role, port: int, local: str, resume: Resume | None) -> Subscribe:
    """Return the message.

    Args:
        port: the data port.
        local: the address of ours under which the control connection stands.
        resume: the place to resume, if there is one.
    """
    bound = bound_host(options)
    advertised = options.advertise if options.advertise is not None else bound
    return Subscribe(
        version=VERSION,
        group=options.group,
        token=options.token,
        name=options.name,
        role=role,
        addresses=(Address(host=advertised, port=port),),
        limits=MemberLimits(upload_mbit=options.upload_mbit, out_degree=options.out_degree),
        reachable=options.reachable,
        dials=options.dials,
        local=Address(host=bound or local, port=port),
        resume=resume,
    )


def bound_host(options: NodeOptions) -> str:
    """Return the host that the data port is bound to; empty: all of them."""
    if options.listen is None:
        return ""
    host = parse_endpoint(options.listen).host
    return "" if host in ("0.0.0.0", "::", "*") else host
