"""What a text is, by how it begins."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nptables.sources.recognising import is_of_a_node
from tests.support.playground import cases, manifests

if TYPE_CHECKING:
    from pathlib import Path

EVIDENCE = sorted({
    case.evidence for case in cases() if case.evidence and case.evidence.name.startswith("dump")
})  # fmt: skip
MANIFESTS = sorted({case.manifest for case in (*manifests(), *cases()) if case.manifest})


@pytest.mark.parametrize("path", EVIDENCE, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_a_dump_is_known_for_one(path: Path) -> None:
    assert is_of_a_node(path.read_text())


def test_no_manifest_of_the_fixtures_is_taken_for_rules() -> None:
    assert [path for path in MANIFESTS if is_of_a_node(path.read_bytes().decode("latin-1"))] == []


@pytest.mark.parametrize(
    "text",
    [
        "$ iptables -S\n-P INPUT ACCEPT\n-N KUBE-SERVICES\n",
        "Chain INPUT (policy ACCEPT)\ntarget     prot opt source\n",
        "Chain KUBE-SERVICES (2 references)\n",
        json.dumps({"version": 1, "kind": "NptablesSnapshot"}),
    ],
)
def test_rules_are_known_by_how_they_begin(text: str) -> None:
    assert is_of_a_node(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- -A\n- b\n",
        "apiVersion: v1\nkind: ConfigMap\ndata:\n  x: |\n    *nat\n    -A PREROUTING -j X\n",
        '{"apiVersion": "v1", "x": "\\n*nat\\n"}',
    ],
)
def test_a_script_in_an_object_is_no_rule_of_a_node(text: str) -> None:
    assert not is_of_a_node(text)
