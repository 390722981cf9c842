"""Random rules and random packets: what the tracer foretells against what the kernel does.

Every rule has its counter, so that a packet's whole way is compared, rule by rule. More packets
than the short run of the suite sends: NPTABLES_WALKS=10000; another run: NPTABLES_WALKS_SEED=...
"""

from __future__ import annotations

import os
from contextlib import closing
from random import Random
from typing import TYPE_CHECKING

import pytest

from nptables import Ruleset
from nptables.family import Family
from tests.lab.walks import comparing
from tests.lab.walks.network import fill_sets, net
from tests.lab.walks.packets import packet
from tests.lab.walks.rulesets import TABLES, ruleset
from tests.lab.walks.wire import Wire
from tests.support.netns import BACKENDS, remove_orphans
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nptables.model import Node
    from nptables.tracing.sets import Sets
    from tests.lab.walks.network import Net
    from tests.lab.walks.wire import Seen

pytestmark = pytest.mark.lab

# Packets for each backend and family.
WALKS = int(os.environ.get("NPTABLES_WALKS", "480")) // 4
SEED = os.environ.get("NPTABLES_WALKS_SEED", "1")
PACKETS_OF_A_RULESET = 12


@pytest.fixture(scope="module", params=BACKENDS)
def node(request: pytest.FixtureRequest) -> Iterator[Net]:
    requires("root", "netns", request.param, "nft", "ipset", "ip")
    remove_orphans()
    with net(request.param) as made:
        yield made


@pytest.mark.parametrize("family", Family)
def test_random_packets_fare_as_foretold_in_random_rules(node: Net, family: Family) -> None:
    print(f"NPTABLES_WALKS={WALKS * 4} NPTABLES_WALKS_SEED={SEED}")  # noqa: T201
    with closing(Walks(node, family)) as walks:
        while walks.sent < WALKS and len(walks.wrong) < 5:
            walks.walk_a_ruleset()

    assert walks.wrong == [], "\n\n".join(walks.wrong)
    # The comparison would be worth little if most packets were left open.
    assert walks.sure > 0.8 * walks.sent


class Walks:
    """Sends random packets through random rulesets, and collects where the tracer is wrong."""

    def __init__(self, network: Net, family: Family) -> None:
        self._net = network
        self._family = family
        self._facts: Node = network.facts()
        self._sets: Sets = fill_sets(network, family)
        self._wire = Wire(network)
        self._rulesets = 0
        self.sent = 0
        self.sure = 0
        self.wrong: list[str] = []

    def close(self) -> None:
        """Close the sockets, and remove the rules."""
        self._wire.close()
        self._net.restore(self._family, "".join(f"*{t}\nCOMMIT\n" for t in TABLES))

    def walk_a_ruleset(self) -> None:
        """Load a ruleset, and send packets through it."""
        self._rulesets += 1
        name = f"{SEED} {self._family.value} {self._rulesets}"
        rng = Random(name)
        written = ruleset(rng, self._family, unsure=rng.random() < 0.2)
        self._net.restore(self._family, _with_all_tables(written))
        before = self._read()
        for _ in range(PACKETS_OF_A_RULESET):
            self.sent += 1
            sent, tracking = packet(rng, self._family, self.sent)
            told = comparing.foretold(before, sent, tracking, self._facts, self._sets)
            seen = self._wire.send(sent)
            after = self._read()
            met = comparing.counted(after) - comparing.counted(before)
            before = after
            self.sure += told.sure
            if difference := _difference(told, met, seen):
                self.wrong.append(f"ruleset {name}: {sent}, {tracking}\n{difference}")

    def _read(self) -> Ruleset:
        return Ruleset.from_save(self._net.save(self._family), family=self._family)


def _difference(told: comparing.Foretold, met: comparing.Hits, seen: list[Seen]) -> str:
    """What the kernel did otherwise, in words; empty where it did as foretold."""
    if not any(comparing.fits(outcome, seen) for outcome in told.outcomes):
        ends = [(o.verdict.value, str(o.source), o.where) for o in told.outcomes]
        return f"foretold {ends}, and the kernel: {seen}"
    if not told.sure:
        return ""
    expected = comparing.hits(told.outcomes[0])
    missing, unexpected = expected - met, met - expected
    lines = [f"not met: {' '.join(rule)} ({n})" for rule, n in missing.items()]
    lines += [f"met, not foretold: {' '.join(rule)} ({n})" for rule, n in unexpected.items()]
    return "\n".join(lines)


def _with_all_tables(text: str) -> str:
    """The text with every table that it does not have, empty: so that nothing is left over."""
    missing = [name for name in TABLES if f"*{name}\n" not in text]
    return text + "".join(f"*{name}\nCOMMIT\n" for name in missing)
