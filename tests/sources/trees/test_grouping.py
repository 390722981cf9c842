"""Which plain files belong together, for any tree."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nptables.sources.trees.grouping import Member, group

PARTS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map(tuple)
OBJECTS = st.frozensets(st.integers(0, 5), max_size=3)
TREES = st.dictionaries(PARTS, st.tuples(OBJECTS, OBJECTS), max_size=8).map(
    lambda found: [
        Member((*folder, f"{number}.yaml"), objects, claims)
        for number, (folder, (objects, claims)) in enumerate(found.items())
    ]
)


@given(TREES)
def test_every_file_is_in_exactly_one_set(members: list[Member]) -> None:
    grouped = [member for found in group(members) for member in found.members]

    assert sorted(m.parts for m in members) == sorted(m.parts for m in grouped)


@given(TREES)
def test_no_object_is_twice_in_a_set(members: list[Member]) -> None:
    for found in group(members):
        objects = [one for member in found.members for one in member.objects]
        assert len(set(objects)) == len(objects)


@given(TREES)
def test_files_that_have_nothing_in_common_are_one_set(members: list[Member]) -> None:
    apart = [Member(m.parts, frozenset({n})) for n, m in enumerate(members)]

    assert len(group(apart)) == min(1, len(apart))


@given(TREES)
def test_sets_follow_from_the_tree_and_not_from_the_order_of_its_folders(
    members: list[Member],
) -> None:
    def shape(order: list[Member]) -> set[frozenset[tuple[str, ...]]]:
        return {frozenset(m.parts for m in found.members) for found in group(order)}

    by_path = sorted(members, key=lambda member: member.parts)
    by_folder = sorted(by_path, key=lambda member: member.parts[:-1], reverse=True)

    assert shape(by_path) == shape(by_folder)
