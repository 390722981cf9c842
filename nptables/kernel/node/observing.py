"""What `nptables check --live` looks at on this node."""

from __future__ import annotations

from pathlib import Path

from nptables.checks import NodeState
from nptables.checks.observed import leftovers
from nptables.errors import BackendUnavailable
from nptables.iptables.changes import Plan
from nptables.kernel.node.bridges import find_bridges
from nptables.kernel.node.conntrack import udp_flows
from nptables.kernel.node.kube_proxy import find_kube_proxy
from nptables.kernel.node.unseen import nft_chains, other_tables, unseen_rules
from nptables.kernel.programs import Runner, run_program
from nptables.translation.flows import Flow

_SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv4/conf/all/route_localnet",
    "net/netfilter/nf_conntrack_tcp_be_liberal",
)


def observe(
    node: str,
    plan: Plan,
    backend: str,
    *,
    warnings: tuple[str, ...] = (),
    root: Path = Path("/proc/sys"),
    run: Runner = run_program,
) -> NodeState:
    """What this node's tables and settings are; `plan` is its difference to what is desired.

    `warnings` are what the comparison said it could not see.
    """
    other = other_tables(backend, plan.family, run)
    flows: tuple[Flow, ...] = ()
    unseen = []
    try:
        flows = tuple(udp_flows(plan.family, run))
    except BackendUnavailable as error:
        unseen.append(f"{plan.family.value}: {error}")
    return NodeState(
        node=node,
        plan=plan,
        settings=_settings(root),
        beside=None if other is None else other.rules,
        other_rules=(*unseen_rules(other, plan.family, run), *warnings),
        leftovers=tuple(_leftovers(run)),
        kube_proxy=find_kube_proxy(),
        flows=flows,
        bridges=tuple(find_bridges(run)),
        unseen=tuple(unseen),
    )


def _settings(root: Path) -> dict[str, str]:
    paths = [root / name for name in _SETTINGS]
    paths += sorted((root / "net/ipv4/conf").glob("*/rp_filter"))
    found = {}
    for path in paths:
        try:
            found[str(path.relative_to(root))] = path.read_text().strip()
        except OSError:
            continue
    return found


def _leftovers(run: Runner) -> list[str]:
    """What kube-proxy in mode ipvs or nftables leaves behind."""
    interfaces = [path.name for path in Path("/sys/class/net").glob("*")]
    return leftovers(interfaces, nft_chains(run) or ())
