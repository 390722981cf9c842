"""What the real `kubectl cluster-info dump` makes of the tests' API server."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from nptables import load
from tests.support.apiserver import ApiServer
from tests.support.clusters import node, service
from tests.support.renderers import path_of
from tests.support.requirements import requires

if TYPE_CHECKING:
    from pathlib import Path

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}},
    "spec": {"nodeName": "node2", "containers": [{"name": "c", "image": "i"}]},
    "status": {
        "phase": "Running",
        "podIP": "10.244.2.9",
        "podIPs": [{"ip": "10.244.2.9"}],
        "conditions": [{"type": "Ready", "status": "True"}],
    },
}
OBJECTS = [
    node("node1", podCIDR="10.244.1.0/24"),
    service("web", namespace="shop", node_port=30080, selector={"app": "web"}),
    service("other", namespace="shop", cluster_ip="10.96.0.11", selector={"app": "none"}),
    POD,
]


@pytest.mark.parametrize("form", ["folder", "text"])
def test_a_dump_of_kubectl_is_read(form: str, tmp_path: Path) -> None:
    """As a folder, and as the one text that it prints without; logs between may hold anything."""
    program = path_of("kubectl")
    if program is None:
        requires("kubectl")
    with ApiServer() as server:
        server.put(*OBJECTS)
        config = server.kubeconfig(tmp_path / "kubeconfig")
        dump = tmp_path / "dump"
        words = [str(program), "--kubeconfig", str(config), "cluster-info", "dump"]
        words += ["--namespaces", "shop"]
        if form == "folder":
            words += ["--output-directory", str(dump)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    if form == "text":
        assert "}{ no JSON" in done.stdout
        dump.write_text(done.stdout)

    loaded = load(dump)

    assert loaded.problems == ()
    cluster = loaded.cluster
    assert list(cluster.nodes) == ["node1"]
    assert {("shop", "web"), ("shop", "other")} == set(cluster.services)
    assert [
        (*slice_.service_key, [endpoint.address for endpoint in slice_.endpoints])
        for slice_ in cluster.slices.values()
    ] == [("shop", "web", ["10.244.2.9"])]
    assert frozenset({"shop"}) == cluster.backing.namespaces
    place = loaded.place("Service", "shop", "web", ("spec", "type"))
    assert place is not None
    if form == "text":
        assert '"type"' in done.stdout.splitlines()[place[1] - 1]
