"""Dumps of which somebody damaged a line: what iptables refuses is never taken for something else.

A letter or a word too many or too few, or the end of a line gone: as typing, copying and narrow
terminals leave it. Which of these are still rules, iptables-restore says.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest

from nptables import Family, ProxyConfig, Ruleset, load, trace, translate
from nptables.errors import InvalidInput, SaveSyntaxError
from nptables.model import Cluster
from nptables.tracing import Verdict, packet_between
from nptables.tracing.explanation.words import answer_line
from tests.support.netns import LOCK_WAIT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables import Trace
    from tests.kernel.nodes import Node

pytestmark = pytest.mark.kernel

LETTERS = 'abcXYZ0189-:/! ."'
DAMAGED = 150


def answer(text: str) -> Trace:
    """What becomes of a packet to the node port, by the dump alone."""
    node = Cluster().node("n")
    packet = packet_between("outside", "nodeport:30080", node=node)
    return trace(Ruleset.from_save(text), packet, node)


def is_open(found: Trace) -> bool:
    """Whether the answer leaves anything open."""
    ends = [outcome for each in found.distributions for outcome in each.outcomes]
    return len(found.distributions) > 1 or any(o.verdict is Verdict.UNKNOWN for o in ends)


def damaged(line: str, rng: Random) -> str:
    """The line with a letter or a word lost, doubled or put in, or without its end."""
    words, place = line.split(" "), rng.randrange(4, len(line))
    word = rng.randrange(1, len(words))
    return rng.choice((
        line[:place] + line[place + 1 :],
        line[:place] + rng.choice(LETTERS) + line[place + 1 :],
        line[:place] + rng.choice(LETTERS) + line[place:],
        line[:place],
        " ".join([*words[:word], *words[word + 1 :]]),
        " ".join([*words[:word], words[word], *words[word:]]),
    ))  # fmt: skip


def refused(text: str, number: int, line: str, rng: Random, node: Node) -> Iterator[str]:
    """The text with a line damaged so that iptables-restore does not take it."""
    lines = text.split("\n")
    lines[number] = damaged(line, rng)
    whole = "\n".join(lines)
    program = node.netns.program("IPV4", "restore")
    if node.netns.run([program, "-w", LOCK_WAIT, "--test"], input=whole, check=False).returncode:
        yield whole


def test_a_line_that_iptables_refuses_never_makes_another_answer_sure(nft_node: Node) -> None:
    cluster = load("fixtures/tutorial/two-nodes.yaml").cluster
    text = translate(cluster, cluster.node("node1"), ProxyConfig(), Family.IPV4).to_save()
    right = answer(text)
    way = {step.line for outcome in right.outcomes for step in outcome.path}
    lines = [(number, line) for number, line in enumerate(text.split("\n")) if line in way]
    rng = Random(1)
    wrong, looked_at = [], 0
    for _ in range(DAMAGED):
        for damage in refused(text, *rng.choice(lines), rng, nft_node):
            looked_at += 1
            try:
                found = answer(damage)
            except (InvalidInput, SaveSyntaxError):
                continue
            if not is_open(found) and answer_line(found) != answer_line(right):
                wrong.append((answer_line(found), damage))

    assert right.arrives
    assert wrong == []
    # Half of the damaged lines are rules still.
    assert looked_at > DAMAGED // 4
