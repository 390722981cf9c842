from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nptables.agent.core.schedule import Periods, Schedule, Task
from nptables.sources.apiserver import Backoff

PERIODS = Periods(min_sync=1, check=10, verify=60)


def make() -> Schedule:
    return Schedule(PERIODS, Backoff(lambda: 0.0, first=1, longest=30))


def begun(at: float = 0.0) -> Schedule:
    """A schedule whose first sync was done at `at`."""
    schedule = make()
    schedule.begin(at)
    assert schedule.due(at) is Task.SYNC
    schedule.done(Task.SYNC, at, at)
    return schedule


def test_nothing_is_due_before_the_store_is_complete() -> None:
    schedule = make()
    schedule.changed(0)
    fresh = make()
    assert fresh.due(1000) is None
    assert fresh.wait(0) == math.inf


def test_a_change_is_synced_at_once_when_the_last_sync_is_long_ago() -> None:
    schedule = begun()
    schedule.changed(5)
    assert schedule.due(5) is Task.SYNC
    assert schedule.pending_since == 5


def test_changes_within_the_minimal_period_wait_for_its_end_and_cost_one_sync() -> None:
    schedule = begun()
    schedule.changed(0.2)
    schedule.changed(0.9)
    assert schedule.due(0.9) is None
    assert schedule.wait(0.9) == pytest.approx(0.1)
    assert schedule.due(1) is Task.SYNC
    schedule.done(Task.SYNC, 1, 1.1)
    assert schedule.pending_since is None
    assert schedule.due(1.9) is None


def test_the_minimal_period_counts_from_the_start_of_a_sync() -> None:
    schedule = begun()
    schedule.changed(5)
    schedule.done(Task.SYNC, 5, 5.8)
    schedule.changed(5.9)
    assert schedule.wait(5.9) == pytest.approx(0.1)


def test_jumps_are_looked_at_every_check_period_and_everything_every_verify_period() -> None:
    schedule = begun()
    seen = []
    now = 0.0
    while now < 60:
        now += schedule.wait(now)
        task = schedule.due(now)
        assert task is not None
        seen.append((now, task))
        schedule.done(task, now, now)
    assert seen == [(float(t), Task.CHECK) for t in (10, 20, 30, 40, 50)] + [(60, Task.VERIFY)]


def test_failures_are_retried_with_growing_pauses_and_success_forgives_them() -> None:
    schedule = begun()
    schedule.changed(5)
    now, pauses = 5.0, []
    for _ in range(7):
        assert schedule.due(now) is Task.SYNC
        pauses.append(schedule.failed(Task.SYNC, now))
        assert schedule.due(now) is None
        now += schedule.wait(now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    schedule.done(Task.SYNC, now, now)
    assert schedule.failed(Task.SYNC, now) == 1


def test_what_waits_is_as_old_as_its_oldest_change_also_across_failures() -> None:
    schedule = begun()
    schedule.changed(5)
    schedule.failed(Task.SYNC, 5)
    schedule.changed(6)
    assert schedule.pending_since == 5


def test_changes_that_never_end_keep_nobody_from_looking_at_the_kernel() -> None:
    schedule = begun()
    seen = []
    now = 0.0
    while now < 60:
        now += 0.25
        schedule.changed(now)
        task = schedule.due(now)
        if task is not None:
            schedule.done(task, now, now)
            seen.append((now, task))
    looks = [(at, task) for at, task in seen if task is not Task.SYNC]
    assert looks == [(float(t), Task.CHECK) for t in (10, 20, 30, 40, 50)] + [(60, Task.VERIFY)]
    # A sync a second, and where a check came first, the sync a quarter of a second later.
    assert 45 <= len([task for _, task in seen if task is Task.SYNC]) <= 60


def test_checks_that_take_longer_than_their_period_keep_no_change_waiting_for_two_of_them() -> None:
    """As where two families are checked one after the other, and all programs wait for a lock."""
    schedule = begun()
    schedule.changed(9)
    schedule.done(Task.SYNC, 9, 9)
    now, seen = 10.0, []
    for _ in range(6):
        schedule.changed(now)
        task = schedule.due(now)
        assert task is not None
        seen.append(task)
        schedule.done(task, now, now)
        # The other family's turn.
        now += PERIODS.check + 1
    assert seen == [Task.CHECK, Task.SYNC, Task.CHECK, Task.SYNC, Task.CHECK, Task.VERIFY]


def test_nothing_is_checked_before_the_first_sync_however_late_that_is() -> None:
    schedule = make()
    schedule.begin(0)
    assert schedule.due(15) is Task.SYNC


def test_while_syncs_fail_nothing_else_is_tried_and_a_check_forgives_nothing() -> None:
    schedule = begun()
    schedule.changed(9)
    pauses = []
    now = 9.0
    while now < 100:
        task = schedule.due(now)
        assert task is Task.SYNC
        pauses.append(schedule.failed(task, now))
        now += schedule.wait(now)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


def test_other_periods_count_from_now_and_what_waits_waits_on() -> None:
    schedule = begun()
    schedule.changed(5)
    schedule.failed(Task.SYNC, 5)
    shorter = Periods(min_sync=1, check=2, verify=60)
    schedule.follow(shorter, Backoff(lambda: 0.0, first=1, longest=30), 5.5)
    assert schedule.pending_since == 5
    assert schedule.due(6) is Task.SYNC
    schedule.done(Task.SYNC, 6, 6)
    assert schedule.due(7.5) is Task.CHECK


def test_a_failed_check_leads_to_a_sync() -> None:
    schedule = begun()
    assert schedule.due(10) is Task.CHECK
    schedule.failed(Task.CHECK, 10)
    assert schedule.due(11) is Task.SYNC


def test_a_failed_verification_is_tried_again_after_its_period_and_changes_do_not_wait() -> None:
    schedule = begun()
    assert schedule.due(60) is Task.VERIFY
    pause = schedule.failed(Task.VERIFY, 60)
    assert schedule.due(60 + pause) is Task.SYNC
    schedule.done(Task.SYNC, 60 + pause, 60 + pause)
    assert schedule.due(75) is Task.CHECK
    schedule.done(Task.CHECK, 75, 75)
    schedule.changed(76)
    assert schedule.due(76) is Task.SYNC


def test_a_verification_that_took_long_is_not_repeated_soon() -> None:
    schedule = begun()
    schedule.done(Task.VERIFY, 60, 260)
    # 200 s are a tenth of the time if the next 1,800 s are free of it.
    now = 260.0
    while schedule.due(now) is not Task.VERIFY:
        if (task := schedule.due(now)) is not None:
            schedule.done(task, now, now)
        now += schedule.wait(now)
    assert now == 2060


@given(st.lists(st.tuples(st.floats(0, 5), st.sampled_from(["change", "fail", "ok"])), max_size=60))
def test_work_never_starts_closer_together_than_the_minimal_period(
    steps: list[tuple[float, str]],
) -> None:
    schedule = begun()
    now, last = 0.0, 0.0
    for pause, what in steps:
        now += pause
        if what == "change":
            schedule.changed(now)
        elif schedule.due(now) is Task.SYNC:
            assert now - last >= PERIODS.min_sync - 1e-9
            last = now
            if what == "fail":
                schedule.failed(Task.SYNC, now)
            else:
                schedule.done(Task.SYNC, now, now)
    while schedule.pending_since is not None:
        now += schedule.wait(now)
        task = schedule.due(now)
        assert task is not None
        schedule.done(task, now, now)
