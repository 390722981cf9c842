"""What nft printed, in pieces, cut and damaged: no traceback, and no fact that the dump denies."""

from __future__ import annotations

import functools

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support import wholes
from tests.support.scenarios import FIXTURES

# The same rules: `iptables-save` printed them, and three versions of nft.
SAVED = (FIXTURES / "nft" / "node.save").read_text()
PRINTED = [(FIXTURES / "nft" / f"node.{v}.nft").read_text() for v in ("0.9.8", "1.0.6", "1.1.3")]
FEW = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# Of what nft prints so much is open that some answers look at no more than the likeliest cases.
check = functools.partial(wholes.check, saved=SAVED, exhaustive=True)


def test_what_nft_prints_never_denies_what_the_dump_says() -> None:
    for text in PRINTED:
        check(text)


@FEW
@given(st.sampled_from(PRINTED), st.integers(0, 110), st.integers(1, 110))
def test_a_window_never_denies_the_whole(text: str, first: int, count: int) -> None:
    check("\n".join(text.splitlines()[first : first + count]))


@FEW
@given(st.sampled_from(PRINTED), st.integers(0, 4000), st.integers(0, 4000))
def test_a_piece_never_denies_the_whole(text: str, one: int, other: int) -> None:
    check(text[min(one, other) : max(one, other)])


@FEW
@given(st.sampled_from(PRINTED), st.integers(20, 130), st.booleans())
def test_lines_that_are_cut_at_a_width_never_deny_the_whole(
    text: str,
    width: int,
    stripped: bool,  # noqa: FBT001 (given by position)
) -> None:
    lines = [line[:width] for line in text.splitlines()]
    check("\n".join(line.strip() if stripped else line for line in lines))


@FEW
@given(st.sampled_from(PRINTED), st.integers(60, 130))
def test_lines_that_are_broken_at_a_width_never_deny_the_whole(text: str, width: int) -> None:
    check(
        "\n".join(
            line[start : start + width]
            for line in text.splitlines()
            for start in range(0, max(len(line), 1), width)
        )
    )


@FEW
@given(st.sampled_from(PRINTED))
def test_lost_blanks_never_deny_the_whole(text: str) -> None:
    check("\n".join(" ".join(line.split()) for line in text.splitlines()))


@FEW
@given(st.sampled_from(PRINTED), st.lists(st.integers(0, 3000), min_size=1, max_size=4))
@example(PRINTED[1], [PRINTED[1].index("PREROUTING")])
def test_a_wrong_character_never_denies_the_whole(text: str, places: list[int]) -> None:
    """A question mark stands in no word of nft."""
    found = list(text)
    for place in places:
        if found[place] not in '\n"':
            found[place] = "?"
    check("".join(found))


@FEW
@given(st.sampled_from(PRINTED), st.permutations(range(4)))
def test_chains_in_another_order_say_the_same(text: str, order: list[int]) -> None:
    """nft prints the chains of a table as they were made."""
    head, *chains = text.split("\n\tchain ")
    tail = chains.pop()
    quarter = len(chains) // 4
    parts = [chains[i * quarter : (i + 1) * quarter] for i in range(3)] + [chains[3 * quarter :]]
    check("\n\tchain ".join([head, *(c for i in order for c in parts[i]), tail]))


@FEW
@given(
    st.sampled_from(["0.9.8", "1.0.6", "1.1.3"]),
    st.lists(st.tuples(st.integers(0, 20_000), st.text(max_size=3)), min_size=1, max_size=5),
)
def test_no_damage_to_a_document_ends_in_a_traceback(
    version: str, damage: list[tuple[int, str]]
) -> None:
    text = (FIXTURES / "nft" / f"node.{version}.json").read_text()
    for place, inserted in damage:
        text = text[: place % len(text)] + inserted + text[place % len(text) + 1 :]
    check(text)
