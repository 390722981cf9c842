"""Pods for workloads that were never applied, spread over the nodes.

Address and node of each are a function of its name, as far as the nodes stay the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import attrs

from nptables.errors import Problem
from nptables.family import Family
from nptables.model import Node, addresses
from nptables.model.workloads import Workload, put_on_labels
from nptables.sources.allocation import pick_address
from nptables.sources.previews import Preview
from nptables.words import counted

Object = Mapping[str, Any]
MOST_REPLICAS = 5000
# What kubeadm's users give most often; used where the nodes have no podCIDRs.
_POD_NETWORKS = {Family.IPV4: "10.244.0.0/16", Family.IPV6: "fd00:10:244::/64"}
# PreferNoSchedule bars nobody.
_BARRING = ("NoSchedule", "NoExecute")


@attrs.define
class MadeUpPods:
    """Makes up Pods, one workload after the other.

    `raw_nodes` are the Node objects by name, `taken` canonical addresses that are in use.
    """

    nodes: Mapping[str, Node]
    raw_nodes: Mapping[str, Object]
    taken: set[str] = attrs.field(factory=set)
    made: list[Preview] = attrs.field(factory=list)

    def reserve(self, texts: Iterable[str]) -> None:
        """Keep addresses that are given from being invented."""
        for text in texts:
            canonical = addresses.parse_ip_sloppy(text)
            if canonical is not None:
                self.taken.add(canonical)

    def pod(self, pod: Object) -> Object:
        """A Pod that was never applied, with a node and addresses."""
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        key = f"{metadata.get('namespace') or 'default'}/{metadata['name']}"
        node_name = spec.get("nodeName") or _first(self._candidates(spec), key)
        made, ips = self._started(pod, spec, key, node_name)
        self._note("Pod", metadata, "status.podIP", [(ips, node_name)])
        return made

    def replicas(self, workload: Workload, template: Object) -> list[Object] | Problem:
        """The Pods of a workload; `template` is the Pod that it makes."""
        kind, namespace, name = workload.kind, workload.namespace, workload.name
        pod_spec = template.get("spec") or {}
        candidates = self._candidates(pod_spec)
        is_daemon = workload.replicas is None
        count = len(candidates) if workload.replicas is None else workload.replicas
        if count > MOST_REPLICAS:
            return Problem(
                f"{count} replicas are too many to make up",
                hint=f"at most {MOST_REPLICAS}; give the Pods or the EndpointSlices instead",
                kind=kind,
                namespace=namespace,
                name=name,
                path=(*workload.path[:-1], "replicas"),
            )
        pods, shown = [], []
        # Else the first nodes would have a Pod of every workload, and the last ones none.
        start = 0 if is_daemon else _number(f"{kind} {namespace}/{name}")
        for replica in range(count):
            node_name = candidates[(start + replica) % len(candidates)] if candidates else ""
            suffix = node_name if is_daemon else str(workload.first_ordinal + replica)
            labels = {**workload.labels, **put_on_labels(kind, name, suffix)}
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": f"{name}-{suffix}", "namespace": namespace, "labels": labels},
            }
            key = f"{kind} {namespace}/{name}/{suffix}"
            made, ips = self._started(pod, pod_spec, key, pod_spec.get("nodeName") or node_name)
            pods.append(made)
            shown.append((ips, node_name))
        metadata = {"namespace": namespace, "name": name}
        if pods:
            self._note(kind, metadata, counted(count, "Pod"), shown)
        return pods

    def _started(
        self, pod: Object, spec: Object, key: str, node_name: str
    ) -> tuple[Object, list[str]]:
        """The Pod as it were if it ran and were ready."""
        ips = [self._address(key, spec, node_name, family) for family in Family]
        return {
            **pod,
            "spec": {**spec, **({"nodeName": node_name} if node_name else {})},
            "status": {
                "phase": "Running",
                "podIP": ips[0],
                "podIPs": [{"ip": ip} for ip in ips],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }, ips

    def _address(self, key: str, spec: Object, node_name: str, family: Family) -> str:
        node = self.nodes.get(node_name)
        if spec.get("hostNetwork") and node is not None:
            return node.address(family)
        network: IPv4Network | IPv6Network = ip_network(_POD_NETWORKS[family])
        cidr = node.pod_cidr(family) if node is not None else None
        for candidate in ([ip_network(cidr)] if cidr else []) + [network]:
            # The first address of a node's network is most often that of its bridge.
            found = pick_address(f"podIP {key}", candidate, self.taken, above=2)
            if found is not None:
                self.taken.add(found)
                return found
        return str(network.network_address + 1)

    def _candidates(self, spec: Object) -> list[str]:
        """The nodes that Pods of this kind may run on, sorted by name."""
        wanted = spec.get("nodeSelector") or {}
        fitting = [
            name
            for name, node in sorted(self.nodes.items())
            if all(node.metadata.labels.get(key) == value for key, value in wanted.items())
        ]
        willing = [name for name in fitting if _takes(self.raw_nodes.get(name) or {}, spec)]
        # Better a Pod on a tainted node than none: the taint may be gone before it is applied.
        return willing or fitting

    def _note(
        self, kind: str, metadata: Object, field: str, placed: Sequence[tuple[list[str], str]]
    ) -> None:
        shown = [
            f"{ips[0]} on {node_name}" if node_name else ips[0] for ips, node_name in placed[:4]
        ]
        more = f" and {len(placed) - len(shown)} more" if len(placed) > len(shown) else ""
        self.made.append(
            Preview(
                kind,
                metadata.get("namespace") or "default",
                metadata["name"],
                field,
                (", ".join(shown) + more) or "no Pod",
            )
        )


def _takes(node: Object, spec: Object) -> bool:
    """Whether a node lets Pods in that tolerate what `spec` says."""
    node_spec = node.get("spec") or {}
    if node_spec.get("unschedulable"):
        return False
    tolerations = [t for t in spec.get("tolerations") or () if t]
    return all(
        any(_tolerates(toleration, taint) for toleration in tolerations)
        for taint in _barring(node_spec)
    )


def _barring(node_spec: Object) -> Iterator[Object]:
    for taint in node_spec.get("taints") or ():
        if isinstance(taint, Mapping) and taint.get("effect") in _BARRING:
            yield taint


def _tolerates(toleration: Object, taint: Object) -> bool:
    # ToleratesTaint in k8s.io/api/core/v1/toleration.go: what is empty fits all.
    if toleration.get("effect") not in (None, "", taint.get("effect")):
        return False
    exists = toleration.get("operator") == "Exists"
    if not toleration.get("key"):
        return exists
    return toleration["key"] == taint.get("key") and (
        exists or (toleration.get("value") or "") == (taint.get("value") or "")
    )


def _number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8])


def _first(candidates: Sequence[str], key: str) -> str:
    return candidates[_number(key) % len(candidates)] if candidates else ""
