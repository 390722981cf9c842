from __future__ import annotations

from tests.support.apiserver import Request
from tests.support.pace import hasty_watch, too_soon

# Pauses of 1 s, 2 s and then 4 s.
SETTINGS = hasty_watch({"first_pause": 1.0, "longest_pause": 4.0, "silence": 30.0})


def asked(at: float, *, watch: bool = True, status: int = 200, **more: float) -> Request:
    """A request that, unless said otherwise, was answered at once."""
    request = Request(at, "services", watch, {}, "", status=status)
    request.ended = more.get("ended", at)
    request.retry_after = int(more.get("retry_after", 0))
    return request


def test_pauses_double_up_to_the_longest() -> None:
    # Refused at 0, 1, 3, 7 and 11: pauses of 1, 2, 4 and 4 s.
    good = [asked(at, status=500) for at in (0.0, 1.0, 3.0, 7.0, 11.0)]
    assert too_soon(good, SETTINGS) == []
    assert too_soon([*good[:2], asked(2.9, status=500)], SETTINGS) == [
        "services: 1.900 s after 500, not 2.000 s"
    ]


def test_a_server_that_names_a_time_is_given_it() -> None:
    refused = asked(0.0, status=429, retry_after=3)
    assert too_soon([refused, asked(3.0)], SETTINGS) == []
    assert too_soon([refused, asked(2.0)], SETTINGS) != []


def test_a_watch_follows_its_list_at_once_but_not_a_watch_that_ended_at_once() -> None:
    assert too_soon([asked(0.0, watch=False), asked(0.0)], SETTINGS) == []
    assert too_soon([asked(0.0), asked(0.5)], SETTINGS) != []


def test_a_watch_that_lived_is_renewed_at_once_and_one_that_was_cut_after_the_first_pause() -> None:
    failed = asked(0.0, status=500)
    assert too_soon([failed, asked(1.0, ended=61.0), asked(61.0)], SETTINGS) == []
    cut = asked(1.0, ended=61.0, status=0)
    assert too_soon([failed, cut, asked(62.0)], SETTINGS) == []
    assert too_soon([failed, cut, asked(61.5)], SETTINGS) != []


def test_a_silent_watch_is_left_after_its_time() -> None:
    silent = asked(0.0)
    silent.ended = None
    assert too_soon([silent, asked(31.0)], SETTINGS) == []
    assert too_soon([silent, asked(30.5)], SETTINGS) != []


def test_what_is_asked_of_one_collection_says_nothing_of_another() -> None:
    other = asked(0.1)
    other.resource = "nodes"
    assert too_soon([asked(0.0, status=500), other], SETTINGS) == []
