"""The table of habits: that each is what recordings show, and that the page says what it says."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import attrs
import pytest

from nptables import Family, translate
from nptables.model.kubeproxy import HABITS, NEWEST, VERSIONS, Habit, in_force
from tests.support.savetext import SHARED_CHAINS, differences
from tests.support.scenarios import FIXTURES
from tests.support.versions import RECORDED, recordings

if TYPE_CHECKING:
    from types import ModuleType

    from tests.support.versions import Recording

ROOT = FIXTURES.parent
SHOWN = [(habit, name) for habit in HABITS for name in habit.recorded]


def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("versions", ROOT / "scripts" / "versions.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_made_from_the_table() -> None:
    assert (ROOT / "docs" / "versions.md").read_text() == page().document(), (
        "run python scripts/versions.py > docs/versions.md"
    )


def test_names_of_habits_are_given_once() -> None:
    assert len({habit.name for habit in HABITS}) == len(HABITS)


def test_the_newest_has_every_habit_that_did_not_end() -> None:
    assert in_force(NEWEST) == {habit.name for habit in HABITS if habit.until is None}


def test_every_version_is_recorded() -> None:
    counts = {version: len(recordings(version)) for version in RECORDED}

    assert list(counts) == [str(version) for version in VERSIONS]
    # 73 of one feature each, at least 131 more, less those that chance decides.
    assert min(counts.values()) >= 200


@pytest.mark.parametrize(("habit", "name"), SHOWN, ids=str)
def test_the_scenarios_that_a_habit_names_show_it(habit: Habit, name: str) -> None:
    """Some version's rules are not those recorded if it loses, or gains, the habit alone.

    Or kube-proxy itself failed by it in some versions and not in others.
    """
    found = [recordings(version)[name] for version in RECORDED if name in recordings(version)]
    failed = {recording.refused or bool(recording.error) for recording in found}

    assert failed == {True, False} or any(matters(habit, recording) for recording in found)


def matters(habit: Habit, recording: Recording) -> bool:
    scenario = recording.scenario
    config = scenario.proxy_config
    without = attrs.evolve(config, habits=config.habits ^ {habit.name})
    node = scenario.cluster.node(scenario.node, facts=scenario.facts)
    return any(
        differences(
            scenario.dumps[family.name],
            translate(scenario.cluster, node, without, family).to_save(),
            shared=SHARED_CHAINS,
        )
        for family in Family
    )
