"""When it is said that a member is behind: once at the beginning, once at the end, no flapping, no flood."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from overlaycast.agent.rates.behind import News, Verdict
from overlaycast.wire.messages import Behind

STEP = 0.2
Seen = Behind | None


class Play:
    """A verdict and its clock."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self.now = 50.0
        self.lost = 0

    def see(self, seconds: float, *seen: Seen, lost: int = 0) -> list[News]:
        """Let this be seen for so long, several in turn; ``lost`` records are lost with each look."""
        said = []
        for step in range(round(seconds / STEP)):
            self.now += STEP
            self.lost += lost
            said.append(self.verdict.look(seen[step % len(seen)], self.lost, self.now))
        return [news for news in said if news]


def kinds(said: list[News]) -> list[tuple[str, str]]:
    return [(news.what, news.cause) for news in said]


def test_nothing_seen_nothing_said() -> None:
    assert Play().see(1000, None) == []


def test_it_begins_after_some_seconds_and_is_over_some_seconds_after_the_last_sign() -> None:
    play = Play()
    play.see(10, None)
    assert play.see(2.2, "link", lost=1) == []
    (news,) = play.see(1, "link", lost=1)
    assert (news.what, news.cause, news.seconds) == ("begins", "link", 3.0)
    assert news.lost <= 13
    assert play.verdict.cause == "link"
    assert play.see(10, "link", lost=1) == []
    assert play.see(4.8, None) == []
    (news,) = play.see(1, None)
    assert (news.what, news.cause, news.lost) == ("over", "link", 66)
    assert 13 <= news.seconds <= 14
    assert play.verdict.cause is None
    assert play.see(1000, None) == []


def test_a_short_trouble_is_not_worth_a_word() -> None:
    play = Play()
    play.see(10, None)
    assert [play.see(2, "link") + play.see(2, None) for _ in range(20)] == [[]] * 20


def test_it_is_said_again_once_a_minute() -> None:
    play = Play()
    play.see(10, None)
    said = play.see(200, "output", lost=2)
    assert kinds(said) == [("begins", "output")] + [("goes on", "output")] * 3
    assert [round(news.seconds) for news in said] == [3, 63, 123, 183]
    assert said[-1].lost > 1500


def test_another_cause_takes_its_place_only_when_it_prevails() -> None:
    play = Play()
    play.see(10, None)
    assert kinds(play.see(5, "link")) == [("begins", "link")]
    assert play.see(50, "link", "parent") == []
    assert kinds(play.see(5, "parent")) == [("begins", "parent")]
    assert kinds(play.see(10, None)) == [("over", "parent")]


def test_of_several_the_most_frequent_one_begins() -> None:
    play = Play()
    play.see(10, None)
    assert kinds(play.see(4, "processor", "link", "processor")) == [("begins", "processor")]


def test_a_trouble_that_comes_and_goes_is_said_ever_more_rarely() -> None:
    play = Play()
    play.see(10, None)
    said = [news for _ in range(100) for news in play.see(4, "link") + play.see(6, None)]
    assert len([news for news in said if news.what == "begins"]) <= 2
    assert len(said) <= 2 + 2 + 1000 / 60
    assert kinds(play.see(11, None)) == [("over", "link")]


def test_after_a_long_quiet_time_it_is_over_as_soon_as_at_first() -> None:
    play = Play()
    play.see(10, None)
    for _ in range(3):
        play.see(4, "link")
        assert kinds(play.see(6, None)) == [("over", "link")]
        play.see(400, None)


def test_one_long_stop_is_said_when_the_program_runs_again() -> None:
    play = Play()
    play.see(10, None)
    play.now += 30
    (news,) = play.see(STEP, "processor")
    assert (news.what, news.cause) == ("begins", "processor")


@given(st.lists(st.sampled_from([None, "link", "parent", "output", "processor"]), max_size=400))
def test_words_make_sense_and_are_few(seen: list[Seen]) -> None:
    play = Play()
    said = [news for one in seen for news in play.see(STEP, one)]
    now: str | None = None
    for news in said:
        assert (now is None) == (news.what == "begins") or (news.what == "begins" and now != news.cause)
        assert news.what == "begins" or now == news.cause
        assert news.lost == 0
        now = None if news.what == "over" else news.cause
    assert now == play.verdict.cause
    assert len(said) <= 2 + len(seen) * STEP / 2
