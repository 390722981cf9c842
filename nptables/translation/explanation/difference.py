"""Why a node differs from the cluster: another kube-proxy's habits, another configuration, drift.

The version is looked for first, for it is known better than a configuration, which can only be
guessed. What a version explains is not explained a second time: the configuration is looked for in
what differs from the rules of that version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nptables.errors import InvalidInput
from nptables.immutable import frozen
from nptables.iptables.changes import Plan, diff
from nptables.iptables.changes.report import changed_lines
from nptables.model import Cluster, Node, ProxyConfig
from nptables.model.kubeproxy import VERSIONS, Version
from nptables.translation import chains
from nptables.translation.assembly import Translation, translate
from nptables.translation.facts_from_rules import suspicions

ConfigOf = Callable[[Version], ProxyConfig]


@frozen
class _Distance:
    """How many lines differ, and how many of them the node has and should not have."""

    lines: int
    strange: int


@frozen
class Likeness:
    """The versions whose rules are nearest to a node's, and nearer than those asked for.

    `named` is the one of `versions` to speak of. `lines` is how many lines differ from their
    rules, `before` how many differ from those that were asked for.
    """

    versions: tuple[Version, ...]
    named: Version
    lines: int
    before: int


@frozen
class Explanation:
    """What explains a difference; what is left of it is drift.

    `fields` are those of a KubeProxyConfiguration that the node's rules look made with, each with
    its values.
    """

    likeness: Likeness | None = None
    fields: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Whose rules they look like, in a sentence; empty where it is the kube-proxy asked for."""
        if self.likeness is None:
            return ""
        found = self.likeness
        option = f"with --kube-proxy-version {found.named}"
        if not found.lines:
            return f"this looks like kube-proxy {_listed(found.versions)}; {option} nothing differs"
        what = "1 line differs" if found.lines == 1 else f"{found.lines} lines differ"
        rest = "" if self.fields else ", and that is drift"
        return (
            f"this looks more like kube-proxy {_listed(found.versions)}; {option} {what} instead "
            f"of {found.before}{rest}"
        )

    @property
    def configuration(self) -> str:
        """What configuration they look made with, in a sentence; empty for the one that is here."""
        if not self.fields:
            return ""
        return (
            f"the node's rules seem to come from another configuration, with "
            f"{', '.join(self.fields)}: pass the node's own with --config"
        )

    def __str__(self) -> str:
        return "; ".join(filter(None, (self.version, self.configuration)))


def explain_difference(
    plans: Sequence[Plan],
    cluster: Cluster,
    node: Node,
    config: ProxyConfig,
    config_of: ConfigOf,
) -> Explanation:
    """Why a node differs from what it should have by a configuration, and a version.

    `plans` lead from the node's rules to a translation under `config`, one for each family: the
    node has one kube-proxy, which made them all. `config_of` reads the configuration for a version
    and raises InvalidInput where the version refuses it.
    """
    plans = [plan for plan in plans if plan.before.lines("nat", chains.SERVICES)]
    if not any(plans):
        return Explanation()
    likeness = _likeness(plans, cluster, node, config, config_of)
    if likeness is not None:
        if not likeness.lines:
            return Explanation(likeness)
        named = config_of(likeness.named)
        plans = [_plan(plan, cluster, node, named) for plan in plans]
    found: dict[str, dict[str, None]] = {}
    for plan in filter(None, plans):
        if isinstance(plan.desired, Translation):
            for suspicion in suspicions(plan.before, plan.desired, node):
                found.setdefault(suspicion.field, {})[suspicion.value] = None
    fields = (f"{field}: {' and '.join(values)}" for field, values in found.items())
    return Explanation(likeness, tuple(fields))


def _likeness(
    plans: Sequence[Plan], cluster: Cluster, node: Node, config: ProxyConfig, config_of: ConfigOf
) -> Likeness | None:
    """The versions whose rules are nearest, where that tells anything of them.

    Where some lines still differ, a version that only lacks rules which the node lacks is no
    better an explanation than drift: some of the node's own lines must be rules of that version,
    and not of the one asked for.
    """
    asked = best = _distance(plans)
    nearest: list[Version] = []
    seen = {config.habits: asked}
    for version in VERSIONS:
        try:
            other = config_of(version)
        except InvalidInput:
            continue
        # Neighbouring versions mostly have the same habits, and a translation is what costs time
        # here.
        if other.habits not in seen:
            seen[other.habits] = _distance([_plan(plan, cluster, node, other) for plan in plans])
        found = seen[other.habits]
        if found.lines and found.strange >= asked.strange:
            continue
        if found.lines < best.lines:
            best, nearest = found, []
        if found.lines == best.lines < asked.lines:
            nearest.append(version)
    if not nearest:
        return None
    said = Version.parse(node.kubelet_version)
    # kubelet and kube-proxy are mostly of one version, though they need not be.
    named = said if said in nearest else nearest[-1]
    return Likeness(tuple(nearest), named, best.lines, asked.lines)


def _plan(plan: Plan, cluster: Cluster, node: Node, config: ProxyConfig) -> Plan:
    """The plan from the same rules to those of another kube-proxy."""
    rules = translate(cluster, node, config, plan.family)
    if rules.tables == plan.desired.tables:
        # Most habits change nothing in most clusters; to compare anew would take as long again.
        return plan
    return diff(plan.before, rules, ownership=rules.ownership)


def _distance(plans: Sequence[Plan]) -> _Distance:
    kinds = [change.kind for plan in plans for change in changed_lines(plan)]
    return _Distance(len(kinds), kinds.count("removed"))


def _listed(versions: tuple[Version, ...]) -> str:
    """Versions as people list them: `1.29`, `1.29 or 1.30`, `1.27 to 1.29`."""
    first, last = VERSIONS.index(versions[0]), VERSIONS.index(versions[-1])
    if len(versions) > 2 and versions == VERSIONS[first : last + 1]:
        return f"{versions[0]} to {versions[-1]}"
    *most, end = map(str, versions)
    return f"{', '.join(most)} or {end}" if most else end
