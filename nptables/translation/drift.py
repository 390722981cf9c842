"""Comparing rulesets where nothing else is said: by what kube-proxy owns."""

from __future__ import annotations

from nptables.iptables.changes import Plan
from nptables.iptables.changes import diff as diff_owned
from nptables.iptables.ownership import Ownership
from nptables.iptables.ruleset import Ruleset
from nptables.translation.owned import ownership as kube_proxy_ownership


def diff(current: Ruleset, desired: Ruleset, *, ownership: Ownership | None = None) -> Plan:
    """What has to change in `current` so that it has the owned chains and rules of `desired`.

    `ownership` says which chains and rules are compared. By default it is that of `desired` if that
    was translated, else what kube-proxy owns on every node, so two dumps can be compared directly.
    Rules and policies of others are never in the plan. A falsy plan means no drift.

    Raises ValueError when the families differ.
    """
    if ownership is None:
        ownership = desired.ownership if desired.ownership.tables else kube_proxy_ownership()
    return diff_owned(current, desired, ownership=ownership)
