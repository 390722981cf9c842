"""Which of a node's two backends has the rules for Services, and what the other one holds."""

from __future__ import annotations

from collections.abc import Sequence

from nptables.errors import InvalidInput, Problem
from nptables.evidence.node import Evidence
from nptables.family import Family
from nptables.iptables import Ruleset
from nptables.iptables.ruleset import BUILT_IN_CHAINS
from nptables.translation.owned import holds_service_chains

# Chains in which the kubelet says which backend it uses.
KUBELET_CHAINS = ("KUBE-IPTABLES-HINT", "KUBE-KUBELET-CANARY")

# What the problem is called that two backends hold rules for Services.
TWO_BACKENDS = "two-backends"


def service_ruleset(
    evidence: Evidence, family: Family, backend: str = "auto", *, strict: bool = True
) -> Ruleset:
    """The ruleset of a family that kube-proxy writes, see `decide_backend`.

    `backend` is `legacy` or `nft` where somebody has said which. Where neither has rules for
    Services it is the node's default. Not `strict`, the larger one is taken where both have.
    Raises InvalidInput if there is none, and if it is ambiguous which it is.
    """
    rulesets = evidence.of(family)
    if backend != "auto":
        return _of_backend(rulesets, evidence, backend)
    decided = decide_backend(rulesets)
    if decided is not None:
        return decided[0]
    with_services = any(map(holds_service_chains, rulesets))
    if not with_services:
        found = _of_default(rulesets, evidence)
    else:
        found = None if strict else max(rulesets, key=_size)
    if found is not None:
        return found
    which = "both have" if with_services else "neither has"
    raise InvalidInput([
        Problem(
            f"the tables of two backends are in this {evidence.form.value}, and {which} rules "
            f"for Services of {family.value}",
            hint="name the one that kube-proxy writes with --backend legacy or nft",
            code=TWO_BACKENDS if with_services else "",
        )
    ])  # fmt: skip


def both_in_use(family: Family) -> str:
    """The error that both backends of this node hold rules for Services, with what to do."""
    return (
        f"both the legacy and the nft tables hold {family.value} rules for Services, and the "
        "kernel runs packets through both: name the right one with --backend, and clear the "
        "other with `nptables cleanup --backend legacy` or `nft`"
    )


def _of_default(rulesets: Sequence[Ruleset], evidence: Evidence) -> Ruleset | None:
    """The tables of what plain `iptables` is on the node, as it says behind its version."""
    said = (evidence.versions or {}).get("iptables", "")
    default = "nft" if "nf_tables" in said else "legacy" if said else ""
    return next((rules for rules in rulesets if rules.backend == default), None)


def decide_backend(rulesets: Sequence[Ruleset]) -> tuple[Ruleset, str] | None:
    """Which backend's ruleset is the one for Services, and in words why; None if unknown.

    It is the one that holds a chain of the kubelet's, else the only one with rules for Services,
    else the one with more rules. Two with rules for Services are too many to tell.
    """
    with_services = [rules for rules in rulesets if holds_service_chains(rules)]
    # Both are walked by the kernel, so neither can be taken for a leftover.
    if len(with_services) > 1:
        return None
    for rules in rulesets:
        # The kubelet makes KUBE-IPTABLES-HINT, since 1.24, for programs that have to choose a
        # backend, and its canary since 1.17.
        mangle = rules.tables.get("mangle")
        chain = next((c for c in KUBELET_CHAINS if mangle and c in mangle.chains), None)
        if chain is not None:
            return rules, f"the kubelet's {chain} is there"
    if with_services:
        return with_services[0], "the rules for Services are there"
    most = max(map(_size, rulesets))
    fullest = [rules for rules in rulesets if _size(rules) == most]
    why = "it has more rules" if len(rulesets) > 1 else "it is the only one here"
    return (fullest[0], why) if len(fullest) == 1 else None


def _size(ruleset: Ruleset) -> int:
    """How many rules there are; a chain that was not read counts as one."""
    return ruleset.rule_count() + sum(len(table.unread) for table in ruleset.tables.values())


def _of_backend(rulesets: tuple[Ruleset, ...], evidence: Evidence, backend: str) -> Ruleset:
    """The ruleset of the backend that was asked for; one of an unknown backend will do."""
    for ruleset in rulesets:
        if ruleset.backend == backend or (len(rulesets) == 1 and not ruleset.backend):
            return ruleset
    raise InvalidInput([Problem(f"there are no {backend} tables in this {evidence.form.value}")])


def other_backend(evidence: Evidence, current: Ruleset) -> Ruleset | None:
    """The tables of the backend that `current` is not of, where they do anything."""
    others = [each for each in evidence.of(current.family) if each is not current]
    return next((other for other in others if chains_in_use(other)), None)


def chains_in_use(rules: Ruleset) -> list[str]:
    """The built-in chains that do anything, such as `nat PREROUTING`."""
    return [
        f"{table.name} {chain}"
        for table in rules.tables.values()
        for chain in BUILT_IN_CHAINS.get(table.name, ())
        if table.chains.get(chain) or table.policies.get(chain, "ACCEPT") != "ACCEPT"
    ]


def active_rulesets(
    evidence: Evidence, family: Family, backend: str = "auto"
) -> tuple[Ruleset, ...]:
    """The rulesets of a family that do anything with a packet, or one where none does.

    With a `backend` only its own. Raises InvalidInput where there is none.
    """
    if backend != "auto":
        return (service_ruleset(evidence, family, backend),)
    rulesets = evidence.of(family)
    return tuple(rules for rules in rulesets if chains_in_use(rules)) or rulesets[:1]
