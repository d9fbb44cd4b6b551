"""What a file group is about: one announcement for all, kept over a restart, no second file in the middle of one."""

from __future__ import annotations

import json

from overlaycast.overlay import Overlay
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Contents, CoordinatorMessage, Refused, Report
from tests.overlay.test_hostile import KEY, subscription, world

FILE = Contents(size=5, record_size=2, chunk_records=1, sha256="0" * 64, digests_sha256="f" * 64)
OTHER = FILE.model_copy(update={"size": 6})


def file_group() -> tuple[Overlay, int, int]:
    return world(("r0", "r1"), GroupSettings(mode="file"))


def told(overlay: Overlay) -> list[tuple[int, CoordinatorMessage]]:
    return [one for one in overlay.messages_to_send() if isinstance(one[1], Contents | Refused)]


def received(overlay: Overlay, member: int, next_seq: int) -> None:
    overlay.receive(
        member, Report(epoch=0, state="streaming", next_seq=next_seq, interval_ms=1, bytes=1, records=1), 1003.0
    )


def test_all_members_hear_what_the_source_announces_those_who_come_later_too() -> None:
    overlay, source, member = file_group()
    overlay.receive(source, FILE, 1002.0)
    assert told(overlay) == [(member, FILE)]
    overlay.receive(source, FILE, 1002.0)
    assert told(overlay) == []
    late = overlay.join(subscription("b"), 1003.0)
    assert told(overlay) == [(late, FILE)]


def test_only_the_source_of_a_file_group_is_heard() -> None:
    overlay, _, member = file_group()
    overlay.receive(member, FILE, 1002.0)
    assert told(overlay) == []
    overlay, source, _ = world(("r0", "r1"), GroupSettings(mode="live"))
    overlay.receive(source, FILE, 1002.0)
    assert told(overlay) == []


def test_another_file_is_refused_once_somebody_has_a_part_of_the_first() -> None:
    overlay, source, member = file_group()
    overlay.receive(source, FILE, 1002.0)
    overlay.receive(source, OTHER, 1002.0)
    assert told(overlay) == [(member, FILE), (member, OTHER)]
    received(overlay, member, 1)
    overlay.receive(source, FILE, 1004.0)
    ((whom, answer),) = told(overlay)
    assert whom == source
    assert isinstance(answer, Refused)
    assert answer.code == "other-contents"


def test_a_restarted_coordinator_knows_it_still() -> None:
    overlay, source, _ = file_group()
    overlay.receive(source, FILE, 1002.0)
    again = Overlay.restore(GroupSettings(mode="file"), KEY, json.loads(json.dumps(overlay.snapshot())), 1003.0)
    late = again.join(subscription("b"), 1004.0)
    assert told(again) == [(late, FILE)]
