"""What u32 makes of a word of which only some bits are known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nptables.tracing.matching.u32 import _applied

FULL = 0xFFFFFFFF
WORDS = st.integers(0, FULL)


@given(WORDS, WORDS, st.sampled_from(["&", "<<", ">>"]), st.integers(0, 31), WORDS, WORDS)
def test_what_is_known_of_the_result_is_what_any_unknown_bits_would_give(
    bits: int, known: int, operator: str, shift: int, mask: int, other: int
) -> None:
    """As xt_u32.c computes with 32 bits, for the word filled up in two ways."""
    operand = mask if operator == "&" else shift

    def kernel(word: int) -> int:
        if operator == "&":
            return word & operand
        return (word << operand) & FULL if operator == "<<" else word >> operand

    value, sure = _applied(operator, operand, (bits & known, known))

    for filled in (bits & known | other & ~known, bits & known | ~other & ~known & FULL):
        assert kernel(filled) & sure == value & sure
    # A bit is not known only where both fillings tell it apart.
    zeros, ones = kernel(bits & known), kernel(bits & known | ~known & FULL)
    assert ~sure & FULL == zeros ^ ones


@given(WORDS, WORDS, st.sampled_from(["<<", ">>"]), st.integers(32, FULL))
def test_nothing_is_known_that_processors_see_otherwise(
    bits: int, known: int, operator: str, shift: int
) -> None:
    """A shift of more than 31 is one of its last five bits on x86 and arm64, and zero on arm."""
    least = shift & 31
    shifted = (bits << least) & FULL if operator == "<<" else bits >> least

    value, sure = _applied(operator, shift, (bits & known, known))

    assert shifted & sure == value & sure == 0
