"""Whether what is known in part says nothing that the whole of it denies."""

from __future__ import annotations

import functools
from fractions import Fraction

from nptables import Cluster, Family, InvalidInput, Trace, trace
from nptables.evidence import Evidence
from nptables.sources import evidence_in
from nptables.tracing import Verdict, missing_tables, packet_between
from nptables.tracing.explanation.result import Distribution

NODE = Cluster().node("node-a", {"interfaces": {"eth0": ["192.0.2.11/24"], "lo": ["127.0.0.1/8"]}})
PACKETS = (
    ("outside", "192.0.2.11:31080"),
    ("outside", "10.96.20.20:80"),
    ("10.244.1.5", "10.96.20.20:80"),
    ("outside", "192.0.2.11:22"),
)
Outcomes = dict[tuple[Verdict, str, str], Fraction]


def asked(evidence: Evidence, packet: tuple[str, str]) -> Trace | None:
    if Family.IPV4 not in evidence.families:
        return None
    rules = evidence.of(Family.IPV4)
    return trace(
        rules,
        packet_between(*packet, node=NODE, family=Family.IPV4),
        NODE,
        unknown_tables={"node-a": missing_tables(rules)},
    )


def outcomes(distribution: Distribution) -> Outcomes:
    found: Outcomes = {}
    for outcome in distribution.outcomes:
        key = (outcome.verdict, outcome.where, outcome.whence)
        found[key] = found.get(key, Fraction(0)) + outcome.share
    return found


@functools.cache
def told(saved: str, packet: tuple[str, str]) -> tuple[Outcomes, ...]:
    """What a whole dump says of a packet."""
    answer = asked(evidence_in(saved), packet)
    assert answer is not None
    return tuple(outcomes(distribution) for distribution in answer.distributions)


def check(text: str, saved: str, *, exhaustive: bool = False) -> None:
    """What a text says is possible must have room for what is so, in each case that there is.

    `saved` is the whole dump. With `exhaustive` only answers count that looked at all cases.
    """
    try:
        evidence = evidence_in(text)
    except InvalidInput:
        return
    for packet in PACKETS:
        answer = asked(evidence, packet)
        if answer is None or (exhaustive and not answer.exhaustive):
            continue
        said = [outcomes(distribution) for distribution in answer.distributions]
        possible = {outcome for each in said for outcome in each}
        for truth in told(saved, packet):
            assert (
                truth in said
                or any(verdict is Verdict.UNKNOWN for verdict, _, _ in possible)
                # A packet meets one of the outcomes that only many packets meet all of.
                or (len(said) > 1 and truth.keys() <= possible)
            ), (packet, [d.hypothesis for d in answer.distributions])
