"""Which Node a node is, by the names that it has for itself and by its addresses."""

from __future__ import annotations

import pytest

from nptables import Cluster
from nptables.evidence import Evidence, Form
from nptables.evidence.node_names import is_called, node_of
from nptables.model import NodeFacts

NODES = Cluster.from_objects([
    {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": address}]},
    }
    for name, address in (
        ("worker-1", "192.0.2.1"), ("worker-2.site-b", "192.0.2.2"), ("worker-3", "192.0.2.3"),
        ("i-0abc", "192.0.2.4"),
    )
]).nodes  # fmt: skip


def evidence(*names: str, address: str = "") -> Evidence:
    listed = {"lo": ["127.0.0.1/8"], "eth0": [f"{address}/24"] if address else []}
    facts = NodeFacts.from_mapping({"interfaces": listed})
    return Evidence(Form.SAVED, node="".join(names[:1]), aliases=names[1:], facts=facts)


@pytest.mark.parametrize(
    ("names", "address", "expected"),
    [
        (["worker-1"], "", "worker-1"),
        (["WORKER-1"], "", "worker-1"),
        (["worker-1.site-a"], "", "worker-1"),
        (["worker-2"], "", "worker-2.site-b"),
        (["worker-2.site-a"], "", ""),
        (["worker-2.site-a"], "192.0.2.2", "worker-2.site-b"),
        (["ip-192-0-2-4.ec2.internal", "i-0abc"], "", "i-0abc"),
        (["other"], "192.0.2.3", "worker-3"),
        (["other"], "198.51.100.1", ""),
        ([], "", ""),
    ],
)
def test_a_node_is_found_by_its_names_and_then_by_its_address(
    names: list[str], address: str, expected: str
) -> None:
    """A domain may be missing; another domain is another node, unless it has the address."""
    assert expected == node_of(evidence(*names, address=address), NODES)


def test_a_node_is_called_by_any_of_its_names() -> None:
    found = evidence("worker-1.site-a", "alias")

    assert [
        is_called(found, name) for name in ("worker-1", "worker-1.site-a", "alias", "worker")
    ] == [True, True, True, False]
