"""What a packet meets on a node besides the rulesets that were read, and what is left of others."""

from __future__ import annotations

from nptables.evidence.kubeproxy import kube_proxy_of
from nptables.evidence.native import kube_proxy_tables, native_rules, native_tables
from nptables.evidence.node import Evidence, Form, Unread
from nptables.family import Family

# What a gap calls tables that are not those of iptables.
NATIVE = "native nft tables"
# What stands for a kube-proxy whose process cannot be seen.
BY_ITS_PORTS = "a process that listens on ports 10256 and 10249 as kube-proxy does"
IPVS_INTERFACE = "kube-ipvs0"


def unfollowed(evidence: Evidence, family: Family) -> tuple[str, ...]:
    """Sentences about what a packet of a family may meet besides the rulesets.

    That nobody looked for nft's own tables is said where somebody could have.
    """
    told = [f"{_unread_tables(t)}, which are not followed" for t in _unread(evidence, family)]
    if evidence.native is not None:
        return (*told, *_native(evidence, family))
    if evidence.form is Form.SNAPSHOT:
        why = [gap.why for gap in evidence.gaps if gap.what == NATIVE]
        return (*told, ": ".join([f"{NATIVE} were not looked at", *why[:1]]))
    remarks = [ruleset.remarks for ruleset in evidence.rulesets if ruleset.family is family]
    tables = dict.fromkeys(table for each in remarks for table in each.native_chains)
    return (*told, *(f"table {t} has chains of nft's own, which are not followed" for t in tables))


def rules_beside(evidence: Evidence, family: Family) -> tuple[str, ...]:
    """Sentences about rules that are there for packets of a family besides the rulesets."""
    return (*map(_unread_tables, _unread(evidence, family)), *_native(evidence, family))


def _unread(evidence: Evidence, family: Family) -> list[Unread]:
    return [tables for tables in evidence.unread if tables.family is family]


def _unread_tables(unread: Unread) -> str:
    chains = ", ".join(unread.chains)
    return f"the {unread.backend} tables hold rules too: {chains}"


def _native(evidence: Evidence, family: Family) -> tuple[str, ...]:
    objects = evidence.native or ()
    return (*native_rules(objects, family), *native_tables(objects, family))


def leftovers(evidence: Evidence) -> tuple[str, ...]:
    """What kube-proxy in mode ipvs or nftables leaves behind, in words."""
    interfaces = (evidence.facts and evidence.facts.interfaces) or {}
    found = [f"interface {IPVS_INTERFACE} of mode ipvs is there"] * (IPVS_INTERFACE in interfaces)
    tables = kube_proxy_tables(evidence.native or ())
    found += [f"nft table {family} kube-proxy of mode nftables is there" for family in tables]
    return tuple(found)


def running_kube_proxy(evidence: Evidence) -> str:
    """The kube-proxy that runs, in words such as `kube-proxy (pid 12)`, or an empty string."""
    process = kube_proxy_of(evidence)
    if process is None:
        return ""
    return f"{process.name} (pid {process.pid})" if process.pid else BY_ITS_PORTS
