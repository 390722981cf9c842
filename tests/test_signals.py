"""Signals to this very process, raised by `os.kill`: the handler runs before it returns."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from nptables.signals import Signals, Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def signals() -> Iterator[Signals]:
    made = Signals()
    with made.caught():
        yield made


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_stop_ends_a_start_at_once(signals: Signals, number: int) -> None:
    assert signals is not None
    with pytest.raises(Stopped) as stopped:
        send(number)
    assert stopped.value.number == number
    assert not isinstance(stopped.value, Exception)


def test_a_reload_during_the_start_is_kept_until_somebody_takes_it(signals: Signals) -> None:
    send(signal.SIGHUP)
    taken: list[int] = []
    signals.hand_to(taken.append)
    send(signal.SIGTERM)
    assert taken == [signal.SIGHUP, signal.SIGTERM]


def test_what_only_looks_is_ended_and_the_next_signal_is_handed_on_again(signals: Signals) -> None:
    taken: list[int] = []
    signals.hand_to(taken.append)
    with signals.at_once():
        send(signal.SIGHUP)
        with pytest.raises(Stopped):
            send(signal.SIGTERM)
    send(signal.SIGINT)
    assert taken == [signal.SIGHUP, signal.SIGINT]


def test_no_signal_disturbs_the_end(signals: Signals) -> None:
    taken: list[int] = []
    signals.hand_to(taken.append)
    signals.ignore()
    with signals.at_once():
        send(signal.SIGTERM)
    assert taken == []


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Signals().caught():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
