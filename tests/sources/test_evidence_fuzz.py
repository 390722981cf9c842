"""Evidence in pieces, cut and damaged: no traceback, and no fact that the whole dump denies."""

from __future__ import annotations

import functools

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nptables import InvalidInput
from nptables.sources import evidence_in
from tests.support import wholes
from tests.support.scenarios import FIXTURES, NAMED, named_scenario
from tests.support.wholes import PACKETS, asked, outcomes, told

# The same rules: `iptables-save` printed them, and `iptables -nvL` of all tables.
SAVED = (FIXTURES / "cases" / "paste-S" / "crlf.txt").read_text()
LISTED = (FIXTURES / "cases" / "listing-whole" / "listing.txt").read_text()
RULES = [line for line in SAVED.splitlines() if line.startswith("-A")]
WORDS = (FIXTURES / "listings" / "words-nvL.txt").read_text()
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])

TITLES = [number for number, line in enumerate(LISTED.splitlines()) if "Chain" in line]


check = functools.partial(wholes.check, saved=SAVED)


def test_the_listing_and_the_dump_say_the_same() -> None:
    """What the other tests compare with."""
    for packet in PACKETS:
        answer = asked(evidence_in(LISTED), packet)
        assert answer is not None
        assert told(SAVED, packet) == tuple(map(outcomes, answer.distributions))


@FEW
@given(st.sets(st.integers(0, len(RULES) - 1), min_size=1))
def test_some_of_the_rules_never_deny_the_whole(chosen: set[int]) -> None:
    check("\n".join(RULES[index] for index in sorted(chosen)))


@FEW
@given(st.integers(0, len(SAVED.splitlines())), st.integers(1, 70))
def test_a_window_of_a_dump_never_denies_the_whole(first: int, count: int) -> None:
    """`head`, `tail`, or what fits on a screen."""
    check("\n".join(SAVED.splitlines()[first : first + count]))


@FEW
@given(st.integers(0, len(SAVED)), st.integers(0, len(SAVED)))
def test_a_piece_of_a_dump_never_denies_the_whole(one: int, other: int) -> None:
    check(SAVED[min(one, other) : max(one, other)])


@FEW
@given(st.integers(0, len(LISTED.splitlines())), st.integers(1, 150))
def test_a_window_of_a_listing_never_denies_the_whole(first: int, count: int) -> None:
    check("\n".join(LISTED.splitlines()[first : first + count]))


@settings(FEW, max_examples=5)
@given(st.integers(20, 220), st.booleans())
def test_a_listing_that_is_cut_at_a_width_never_denies_the_whole(
    width: int,
    stripped: bool,  # noqa: FBT001 (given by position)
) -> None:
    lines = [line[:width] for line in LISTED.splitlines()]
    check("\n".join(line.rstrip() if stripped else line for line in lines))


@FEW
@given(st.lists(st.integers(0, len(LISTED) - 1), min_size=1, max_size=4))
@example([LISTED.index("KUBE-SERVICES  0 ") + len("KUBE-SERVICES ")])
@example([LISTED.index("0 DNAT ") - 4])
@example([LISTED.index("*      *       10.244.1.5") + 1])
def test_a_listing_with_a_wrong_character_never_denies_the_whole(places: list[int]) -> None:
    """An x stands in no number and no name of iptables; alone it is the name of an interface."""
    text = list(LISTED)
    for place in places:
        if text[place] != "\n" and LISTED[place - 1 : place + 2] != " * ":
            text[place] = "x"
    check("".join(text))


@FEW
@given(st.sets(st.sampled_from(TITLES)))
def test_a_listing_without_the_titles_of_some_chains_never_denies_the_whole(
    lost: set[int],
) -> None:
    lines = LISTED.splitlines()
    check("\n".join(line for number, line in enumerate(lines) if number not in lost))


@FEW
@given(
    st.sampled_from(NAMED),
    st.lists(st.tuples(st.integers(0, 40_000), st.text(max_size=3)), min_size=1, max_size=5),
)
def test_no_damage_to_a_dump_ends_in_a_traceback(name: str, damage: list[tuple[int, str]]) -> None:
    text = named_scenario(name).dumps["IPV4"][:40_000]
    for place, inserted in damage:
        text = text[: place % len(text)] + inserted + text[place % len(text) + 1 :]
    try:
        found = evidence_in(text)
    except InvalidInput:
        return
    asked(found, ("outside", "192.0.2.11:30080"))


@FEW
@given(st.lists(st.tuples(st.integers(0, 30_000), st.text(max_size=3)), min_size=1, max_size=5))
def test_no_damage_to_a_listing_ends_in_a_traceback(damage: list[tuple[int, str]]) -> None:
    text = WORDS
    for place, inserted in damage:
        text = text[: place % len(text)] + inserted + text[place % len(text) + 1 :]
    try:
        found = evidence_in(text)
    except InvalidInput:
        return
    asked(found, ("outside", "10.1.2.3:80"))
