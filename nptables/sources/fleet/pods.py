"""The Pods by which nodes are read: those of kube-proxy, or of whatever was named instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nptables.evidence import Process
from nptables.evidence.secrets import without_secrets
from nptables.immutable import frozen
from nptables.sources.apiserver import Connection, Container, Resource
from nptables.sources.cluster import list_raw

NAMESPACE = "kube-system"
# kubeadm and most others; GKE and AKS; where there are neither, deploy/collect-daemonset.yaml.
SELECTORS = (
    "k8s-app=kube-proxy",
    "component=kube-proxy",
    "app.kubernetes.io/name=nptables-collect",
)
_NAME = "kube-proxy"


@frozen
class ProxyPod:
    """A Pod on a node, and what its manifest says of the kube-proxy in it.

    `waits_for` says why its container does not run, where the kubelet says so.
    """

    node: str
    container: Container
    running: bool
    process: Process | None
    waits_for: str = ""


def proxy_pods(
    connection: Connection,
    *,
    namespace: str = NAMESPACE,
    selectors: Sequence[str] = SELECTORS,
    container: str = "",
) -> dict[str, ProxyPod]:
    """By node the Pod to read it by: one that runs, of the first selector that finds one.

    Raises ApiServerError.
    """
    found: dict[str, ProxyPod] = {}
    for selector in selectors:
        path = f"/api/v1/namespaces/{namespace}/pods"
        resource = Resource("pods", path, "Pod", "v1", label_selector=selector)
        for item in list_raw(connection, resource).items:
            pod = _pod(item, container)
            before = None if pod is None else found.get(pod.node)
            # While a Pod is replaced its node has two.
            if pod is not None and (before is None or (pod.running and not before.running)):
                found[pod.node] = pod
    return found


def _pod(item: Mapping[str, Any], asked: str) -> ProxyPod | None:
    metadata, spec = item.get("metadata") or {}, item.get("spec") or {}
    status = item.get("status") or {}
    containers = [c for c in spec.get("containers") or () if isinstance(c, Mapping)]
    names = [str(c.get("name")) for c in containers]
    name = asked or (_NAME if _NAME in names else next(iter(names), ""))
    node = spec.get("nodeName")
    if not isinstance(node, str) or not node or name not in names:
        return None
    place = Container(str(metadata.get("namespace")), str(metadata.get("name")), name)
    running = status.get("phase") == "Running" and not metadata.get("deletionTimestamp")
    process = _process(containers[names.index(name)])
    return ProxyPod(node, place, running, process, _waits_for(status))


def _waits_for(status: Mapping[str, Any]) -> str:
    """The first reason why a container of a Pod waits."""
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason"):
            return str(waiting["reason"])
    return ""


def _process(container: Mapping[str, Any]) -> Process | None:
    """The kube-proxy that a container starts, as far as its manifest says."""
    words = [str(w) for key in ("command", "args") for w in container.get(key) or ()]
    if not words or words[0].rpartition("/")[2] != _NAME:
        return None
    _, _, tag = str(container.get("image", "")).partition("@")[0].rpartition(":")
    # Without a tag the last colon may be that of a registry's port, and a path follows.
    version = tag if tag.startswith("v") and "/" not in tag else ""
    return Process(_NAME, arguments=without_secrets(words[1:]), version=version)
