"""What a ruleset is once a plan was carried out on it: what a kernel makes of the same commits."""

from __future__ import annotations

from random import Random

import pytest

from nptables import Family, Ruleset, diff
from nptables.iptables.changes.outcome import carried_out
from nptables.testing import FakeKernel
from tests.effects.pairs import damaged
from tests.support.scenarios import named_scenario

NFACCT = ("ct_state_invalid_dropped_pkts", "localhost_nps_accepted_pkts")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("no-services", "nodeport-local-policy"),
        ("nodeport-local-policy", "no-services"),
        ("loadbalancer-source-ranges", "loadbalancer-no-endpoints"),
        ("probabilities-100-endpoints", "ten-endpoints"),
        ("nfacct-counters", "masquerade-all"),
    ],
)
def test_it_is_what_the_commits_of_the_plan_make_of_it(old: str, new: str) -> None:
    """Beside rules of others, and with lines of ours damaged."""
    rng = Random(f"{old} {new}")
    text = named_scenario(old).dumps["IPV4"].replace(
        "-A FORWARD", "-A FORWARD -i docker0 -j DROP\n-A FORWARD", 1
    )  # fmt: skip
    for _ in range(4):
        before = Ruleset.from_save(damaged(text, Family.IPV4, rng))
        plan = diff(before, named_scenario(new).rules("IPV4"))
        kernel = FakeKernel(save=before.to_save(), nfacct=NFACCT)
        kernel.restore(plan.to_restore())

        assert kernel.read() == carried_out(plan)
