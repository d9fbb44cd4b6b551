"""What a rogue member does to the frames and messages that pass it: it changes, drops or falsifies them. Pure.

Owns: the misdeeds, frame by frame and message by message, and their count. Refuses: to carry anything; ``rogue`` does.
A misdeed is a valid frame or message: every program refuses what breaks the protocol anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from overlaycast.wire.frames import Data, End, Frame, Heartbeat
from overlaycast.wire.messages import MemberMessage, NotReceiving, Report

KINDS = ("tamper", "mute", "lie")


@dataclass(slots=True)
class Misdeeds:
    """One rogue's behaviour.

    Attributes:
        kind: one of ``KINDS``.
        active: it misbehaves now.
        count: how often it has.
    """

    kind: str
    active: bool = False
    count: int = 0

    def forwarded(self, frame: Frame) -> Frame | None:
        """Return the frame that a child gets instead of its parent's; None: nothing."""
        if not self.active or self.kind == "lie" or not isinstance(frame, Data | End):
            return frame
        if self.kind == "mute":
            self.count += 1
            # as if the record had been sent and more were to come: it lives, and its upstream is not silent
            return Heartbeat(frame.seq + 1) if isinstance(frame, Data) else None
        if isinstance(frame, End):
            return frame
        self.count += 1
        return Data(frame.seq, frame.time_us, bytes([frame.payload[0] ^ 0xFF]) + frame.payload[1:], frame.incarnation)

    def said(self, message: MemberMessage) -> tuple[MemberMessage, ...]:
        """Return the message that the coordinator gets instead."""
        if not self.active or self.kind != "lie" or not isinstance(message, Report):
            return (message,)
        self.count += 1
        lie = message.model_copy(update={"bytes": 0, "records": 0, "longest_gap_ms": message.interval_ms})
        blame = NotReceiving(
            epoch=message.epoch,
            parent=message.parent,
            next_seq=message.next_seq,
            silent_ms=message.interval_ms,
            reason="silence",
        )
        return lie, blame
