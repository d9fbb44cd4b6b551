"""State that must outlive a crash, and the folder it is in."""

from __future__ import annotations

import contextlib
import itertools
import random
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.coordinator.bounds.allowance import Allowance
from overlaycast.coordinator.state.folder import open_folder
from overlaycast.coordinator.state.journal import CAPACITY, RESTART_GAP, EventLog, open_journal
from overlaycast.coordinator.state.secret import hash_of, matches, new_token
from overlaycast.coordinator.state.store import GroupRow, Store
from overlaycast.errors import ConfigError
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Welcome
from tests.coordinator.conftest import Start, eventually, member_link, subscription


def row(name: str, created: float = 1.0) -> GroupRow:
    return GroupRow(name, GroupSettings(rate_mbit=3), b"k" * 32, hash_of("t"), None, created)


def test_groups_snapshots_and_secrets_come_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.add_group(row("b", 1.0))
    store.add_group(row("a", 2.0))
    store.save_snapshot("a", {"epoch": 1}, 10, 5.0)
    store.save_snapshot("a", {"epoch": 2}, 20, 4.0)
    store.add_secret("a", 1, b"x")
    store.add_secret("a", 2, b"y")
    store.drop_secrets("a", {2})
    store.close()
    store = Store(tmp_path / "state.db")
    assert [store.group(name) for name in store.names()] == [row("b", 1.0), row("a", 2.0)]
    assert store.snapshot("a") == ({"epoch": 2}, 20)
    assert store.latest() == 5.0
    assert store.snapshot("b") is None
    assert store.secrets("a") == {2: b"y"}
    store.delete_group("a")
    assert [store.group(name) for name in store.names()] == [row("b", 1.0)]
    assert store.snapshot("a") is None
    assert store.secrets("a") == {}
    store.close()


def test_a_member_id_is_never_given_twice(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.add_group(row("a"))
    store.add_secret("a", 1, b"x")
    with pytest.raises(sqlite3.IntegrityError):
        store.add_secret("a", 1, b"y")
    store.close()


def test_state_that_is_not_ours_is_refused_in_one_line(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database at all, but long enough to look at" * 40)
    with pytest.raises(ConfigError) as caught:
        Store(garbage)
    assert str(garbage) in str(caught.value)
    assert "\n" not in str(caught.value)
    later = tmp_path / "later.db"
    with contextlib.closing(sqlite3.connect(later)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="version 99"):
        Store(later)


def test_the_database_is_private(tmp_path: Path) -> None:
    store = Store(tmp_path / "state.db")
    store.add_group(row("a"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    store.close()
    assert set(modes) == {"state.db", "state.db-wal", "state.db-shm"}
    assert set(modes.values()) == {0o600}


_WRITER = """
import sys
from pathlib import Path
from overlaycast.coordinator.state.store import GroupRow, Store
from overlaycast.wire.group import GroupSettings
from overlaycast.wire.messages import Welcome
from tests.coordinator.conftest import Start, eventually, member_link, subscription
store = Store(Path(sys.argv[1]))
store.add_group(GroupRow("a", GroupSettings(), b"k" * 32, b"t" * 32, None, 1.0))
for number in range(1, 1_000_000):
    store.add_secret("a", number, b"s" * 32)
    store.save_snapshot("a", {"epoch": number, "filler": "x" * 5000}, number, 1.0)
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(5))
def test_kill_9_at_any_moment_loses_nothing_that_was_reported(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "state.db"
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for _ in range(random.Random(seed).randint(1, 400)):
        writer.stdout.readline()
    writer.kill()
    reported = [int(line) for line in writer.stdout.read().splitlines() if line]
    writer.wait()
    writer.stdout.close()
    store = Store(path)
    found = store.snapshot("a")
    assert found is not None
    snapshot, events = found
    assert snapshot["epoch"] == events
    assert len(snapshot["filler"]) == 5000
    assert events >= max(reported, default=1)
    assert len(store.secrets("a")) in (events, events + 1)
    store.close()


def test_the_folder_and_the_admin_token_are_private_and_stay(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "deep" / "state")
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.token_file.stat().st_mode) == 0o600
    assert folder.token_file.read_text().strip() == folder.admin_token
    folder.close()
    folder.token_file.chmod(0o644)
    again = open_folder(tmp_path / "deep" / "state")
    assert again.admin_token == folder.admin_token
    assert stat.S_IMODE(folder.token_file.stat().st_mode) == 0o600
    again.close()


def test_what_a_link_leads_to_keeps_its_mode(tmp_path: Path) -> None:
    """An admin token may be kept elsewhere, for programs of others to read."""
    kept = tmp_path / "kept"
    kept.write_text("t" * 40)
    kept.chmod(0o640)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "admin.token").symlink_to(kept)
    folder = open_folder(tmp_path / "state")
    assert folder.admin_token == "t" * 40
    folder.close()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o640


def test_a_link_that_leads_nowhere_is_no_missing_token(tmp_path: Path) -> None:
    link = tmp_path / "admin.token"
    link.symlink_to(tmp_path / "not-mounted")
    with pytest.raises(ConfigError, match=r"admin\.token: No such file or directory$"):
        open_folder(tmp_path)
    assert link.is_symlink()


def test_an_admin_token_that_nobody_may_read_is_made_readable(tmp_path: Path) -> None:
    open_folder(tmp_path).close()
    (tmp_path / "admin.token").chmod(0)
    open_folder(tmp_path).close()
    assert stat.S_IMODE((tmp_path / "admin.token").stat().st_mode) == 0o600


def test_two_coordinators_never_share_a_folder(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    with pytest.raises(ConfigError, match="another coordinator"):
        open_folder(tmp_path)
    folder.close()
    open_folder(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_said_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"state: .*file"):
        open_folder(file / "below")
    (tmp_path / "admin.token").write_text("short\n")
    with pytest.raises(ConfigError, match=r"admin\.token"):
        open_folder(tmp_path)


def test_tokens_are_long_different_and_compared_whole() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    token = tokens.pop()
    assert len(token) >= 32
    assert matches(token, hash_of(token))
    assert not matches(token[:-1], hash_of(token))
    assert not matches("", hash_of(token))


def test_an_event_log_is_bounded_and_goes_on_where_it_is_told_to(tmp_path: Path) -> None:
    log = EventLog("demo", open_journal(None), first=500)
    for number in range(CAPACITY + 10):
        log.add(1.0, "tick", None, {"number": number})
    assert len(log.since(0, CAPACITY * 2)) == CAPACITY
    assert log.since(0, 1)[0].n == 510
    assert [event.n for event in log.since(600, 2)] == [600, 601]
    assert log.since(log.next_number, 5) == ()


def test_a_journal_that_cannot_be_opened_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="journal"):
        open_journal(tmp_path / "no" / "such" / "folder")


def test_a_full_disk_ends_the_journal_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    journal = open_journal(Path("/dev/full"))
    for _ in range(3):
        journal.write('{"kind":"tick"}')
    journal.close()
    assert [record.message for record in caplog.records] == [
        "cannot write the journal any more: No space left on device"
    ]


@given(st.floats(0.1, 100), st.floats(1, 100), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 20)), max_size=60))
def test_an_allowance_is_never_exceeded(rate: float, burst: float, asked: list[tuple[float, float]]) -> None:
    allowance = Allowance(rate, burst, 10.0)
    now, taken = 10.0, [(10.0, 0.0)]
    for wait, amount in asked:
        now += wait
        if allowance.take(amount, now):
            taken.append((now, amount))
    for start, (since, _) in enumerate(taken):
        spent = sum(amount for _, amount in taken[start:])
        assert spent <= (burst + rate * (now - since)) * (1 + 1e-9) + 1e-6


async def test_event_numbers_go_on_after_a_restart_and_jump_after_a_crash(start: Start, tmp_path: Path) -> None:
    async with start() as running:
        token = await running.create()
        async with member_link(running) as anna:
            await anna.say(subscription(token))
            assert isinstance(await anna.hear(), Welcome)
        await eventually(lambda: running.groups.get("demo").connected == 0)
        numbers = [running.groups.get("demo").log.next_number]
    for _ in range(2):  # a group that nobody has come to since the last start is stopped like any other
        async with start() as running:
            numbers.append(running.groups.get("demo").log.next_number)
    assert [after - before for before, after in itertools.pairwise(numbers)] == [1, 1]  # "restored"
    with contextlib.closing(Store(tmp_path / "state" / "state.db")) as store:
        assert store.take_stop("demo") == numbers[-1]
    async with start() as running:
        assert running.groups.get("demo").log.next_number > numbers[-1] + RESTART_GAP // 2
