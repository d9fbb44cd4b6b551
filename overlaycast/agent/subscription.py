"""What a node says of itself when it subscribes, and where others reach its data port.

Owns: the first message of each control connection. Refuses: sockets. Pure.
"""

from __future__ import annotations

from typing import Final

from overlaycast.agent.options import NodeOptions, SendOptions
from overlaycast.wire.frames import VERSION as DATA_VERSION
from overlaycast.wire.group import MemberLimits
from overlaycast.wire.hosts import plain
from overlaycast.wire.messages import VERSION, Address, Resume, Role, Subscribe

_ALL: Final = ("0.0.0.0", "::")


def subscription(
    options: NodeOptions, role: Role, bound_to: tuple[str, int], local: str, resume: Resume | None
) -> Subscribe:
    """Return the message.

    Args:
        bound_to: address and port of the data port.
        local: the address of ours under which the control connection stands.
        resume: the place to resume, if there is one.
    """
    bound, port = ("" if bound_to[0] in _ALL else plain(bound_to[0])), bound_to[1]
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
        local=Address(host=bound or plain(local), port=port),
        resume=resume,
        data_version=DATA_VERSION,
        standby=True if isinstance(options, SendOptions) and options.standby else None,
    )
