"""What can be chosen on the page for what there is: nodes, senders, destinations, Services."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from nptables.answering.inputs import configuration
from nptables.answering.versions import Told, taken, told_by, told_there, version_of
from nptables.evidence import Evidence
from nptables.evidence.kubeproxy import kube_proxy_of
from nptables.family import Family
from nptables.inet import with_port
from nptables.model import Cluster
from nptables.model.kubeproxy.versions import VERSIONS
from nptables.playground.protocol import Choices, End
from nptables.playground.reading import Reader, default_node
from nptables.playground.state import State

# More than anybody looks through: further ones can be typed.
_MOST = 500
_FRONTEND = re.compile(
    r'^-A KUBE-(?:SERVICES|NODEPORTS) (?:-d (\S+)/\d+ )?-p (\w+) .*--comment "?([^"\s]+)'
    r".*--dport (\d+)"
)


def choices(reader: Reader, state: State) -> Choices:
    """What can be chosen, and what counts where nothing is."""
    there = reader.node_has(state, None)
    evidence = there.evidence
    if state.files or evidence is None:
        loaded = reader.loaded(state)
        cluster, in_manifests = loaded.cluster, loaded.proxy_config
    else:
        cluster, in_manifests = Cluster(), None
    nodes = sorted(cluster.nodes)
    if not nodes and there.name:
        nodes = sorted({there.name, *there.others})
    elif not nodes and evidence is not None and evidence.node:
        nodes = [evidence.node]
    kube_proxy = None if evidence is None else kube_proxy_of(evidence)
    found = configuration(reader.config(state), in_manifests, kube_proxy)
    node = default_node(cluster, state, found, evidence) or there.name
    runs = "" if kube_proxy is None else kube_proxy.version
    of_nodes = [_told(cluster, each, runs) for each in ([node] if state.node else nodes or [node])]
    usual, why = _usual(of_nodes) if state.files else ("", "")
    return {
        "nodes": nodes,
        "node": node,
        "families": [family.value for family in _families(cluster, evidence)],
        "kubeProxyVersions": [str(version) for version in reversed(VERSIONS)],
        "kubeProxyVersion": str(version_of(_told(cluster, node, runs))),
        # In the rules that a node has a packet fares alike for every version.
        "kubeProxyUsual": usual,
        "kubeProxyWhy": why,
        "senders": list(_cut(_senders(cluster, nodes))),
        "destinations": list(_cut(_destinations(cluster, evidence))),
        "services": ["/".join(key) for key in sorted(cluster.services)][:_MOST],
    }


def _told(cluster: Cluster, node: str, runs: str) -> Told | None:
    """What there is of the version on a node, best of all what `runs` there."""
    there = cluster.nodes.get(node)
    return told_there(runs) or (None if there is None else told_by([there]))


def _usual(told: Sequence[Told | None]) -> tuple[str, str]:
    """The version that counts where none is chosen, in a few words, and why in a sentence.

    `told` is what there is of each node.
    """
    versions = sorted({version_of(each) for each in told})
    if len(versions) > 1:
        said = ", ".join(map(str, versions))
        return f"each node's ({said})", "each node has the rules of its own version of kube-proxy"
    whose = "newest" if told[0] is None else "the node's"
    return f"{versions[0]} ({whose})", taken(told[0])


def _families(cluster: Cluster, evidence: Evidence | None) -> list[Family]:
    found = {family for service in cluster.services.values() for family in service.cluster_ips}
    found |= set() if evidence is None else set(evidence.families)
    return [family for family in Family if family in found] or [Family.IPV4]


def _cut(ends: Iterator[End]) -> Iterator[End]:
    seen: set[str] = set()
    for end in ends:
        if end["value"] not in seen:
            seen.add(end["value"])
            yield end
        if len(seen) == _MOST:
            return


def _senders(cluster: Cluster, nodes: list[str]) -> Iterator[End]:
    yield {"value": "outside", "label": "a client outside the cluster", "kind": "outside"}
    for name in nodes:
        yield {"value": f"node/{name}", "label": f"node {name}", "kind": "node"}
    on = {
        tuple(endpoint.target.split("/")): endpoint.node_name
        for found in cluster.slices.values()
        for endpoint in found.endpoints
        if endpoint.target
    }
    on |= {key: pod.node_name for key, pod in cluster.pods.items() if pod.addresses}
    for key, node in sorted(on.items()):
        name = "/".join(key)
        where = f" on {node}" if node else ""
        yield {"value": f"pod/{name}", "label": f"Pod {name}{where}", "kind": "pod"}


def _destinations(cluster: Cluster, evidence: Evidence | None) -> Iterator[End]:
    for key, service in sorted(cluster.services.items()):
        name = "/".join(key)
        for port in service.ports:
            protocol = _behind(port.protocol)
            called = f" ({port.name})" if port.name else ""
            if port.node_port:
                yield {
                    "value": destination_text("", port.node_port, port.protocol),
                    "label": f"node port {port.node_port}{protocol} of {name}{called}",
                    "kind": "nodePort",
                }
            if service.cluster_ips:
                yield {
                    "value": f"svc/{name}:{port.port}{protocol}",
                    "label": f"{name} port {port.port}{protocol}{called}, cluster IP",
                    "kind": "clusterIP",
                }
            for address in (*service.external_ips, *(each.ip for each in service.ingress)):
                value = destination_text(address, port.port, port.protocol)
                kind = "externalIP" if address in service.external_ips else "loadBalancerIP"
                yield {"value": value, "label": f"{name} at {value}", "kind": kind}
    if not cluster.services and evidence is not None:
        yield from _shown(evidence)


def destination_text(address: str, port: int | str, protocol: str) -> str:
    """An address and port as a trace takes them; without an address, a node port."""
    return with_port(address or "nodeport", port) + _behind(protocol)


def _behind(protocol: str) -> str:
    return "" if protocol == "TCP" else f"/{protocol}"


def _shown(evidence: Evidence) -> Iterator[End]:
    """The node ports and cluster IPs that the rules of a node have."""
    for ruleset in evidence.rulesets:
        table = ruleset.tables.get("nat")
        if table is None:
            continue
        for chain in ("KUBE-NODEPORTS", "KUBE-SERVICES"):
            for line in table.chains.get(chain, ()):
                found = _FRONTEND.match(line)
                if found is None:
                    continue
                address, protocol, name, port = found.groups()
                value = destination_text(address or "", port, protocol.upper())
                kind = "clusterIP" if address else "nodePort"
                yield {"value": value, "label": f"{name} at {value}", "kind": kind}
