"""The list of changes that change nothing names changes that there are, each with its reason."""

from __future__ import annotations

from tests.mutants.changes import harmless, mutants


def test_each_change_in_the_list_can_be_made_and_has_a_reason() -> None:
    paths = {change.partition(" ")[0] for change in harmless()}
    possible = {str(mutant) for mutant in mutants(paths)}

    assert set(harmless()) - possible == set()
    assert [change for change, reason in harmless().items() if len(reason) < 10] == []
