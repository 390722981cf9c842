"""Two traces of a packet differ if and only if it lies in a reported class."""

from __future__ import annotations

import os

import pytest

from tests.effects.pairs import compared, disagreement, packets, pairs, reported

# As many as of the examples of a property: fewer where time is short.
_ALL = 34
_PAIRS = max(3, _ALL * int(os.environ.get("NPTABLES_EXAMPLES", "50")) // 50)
_PACKETS = 200


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_two_traces_differ_exactly_where_an_effect_is_reported_and_the_fates_agree(
    seed: int,
) -> None:
    """20,000 packets in all: rules of other clusters, damaged ones, and with foreign ones."""
    followed = inside = 0
    for number, pair in enumerate(pairs(seed, _PAIRS)):
        effects = compared(pair)
        for packet in packets(pair, effects, seed * 1000 + number, _PACKETS):
            followed += 1
            inside += bool(reported(effects, packet))
            assert disagreement(pair, effects, packet) == "", pair.how
    # Half of a property holds of its own where nothing is ever inside, or outside.
    if _PAIRS >= _ALL:
        assert followed > 5_000
        assert 0.1 < inside / followed < 0.9
