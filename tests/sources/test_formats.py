"""The same cluster gives the same rules, however it is written down."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from nptables import Family, ProxyConfig, translate
from nptables.sources import Loaded, load, load_objects
from tests.support.scenarios import FIXTURES, NAMED, named_scenario

if TYPE_CHECKING:
    from pathlib import Path

Object = dict[str, Any]
# A few that differ in kind: address families, load balancers, policies, what is stored sloppily.
SCENARIOS = sorted(
    set(NAMED)
    & {
        "external-ips",
        "loadbalancer-vip",
        "nodeport-dual-stack",
        "stored-sloppy-addresses",
        "topology-node-hints",
    }
)


def rules(loaded: Loaded) -> str:
    cluster = loaded.cluster
    node = cluster.node(min(cluster.nodes))
    return "".join(translate(cluster, node, ProxyConfig(), family).to_save() for family in Family)


def as_list(objects: list[Object]) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def typed_lists(objects: list[Object]) -> list[Object]:
    """Return lists as the API server sends them: their items have no kind."""
    found: dict[tuple[str, str], list[Object]] = {}
    for raw in objects:
        item = {key: value for key, value in raw.items() if key not in ("kind", "apiVersion")}
        found.setdefault((raw["kind"], raw["apiVersion"]), []).append(item)
    return [
        {"apiVersion": version, "kind": f"{kind}List", "metadata": {}, "items": items}
        for (kind, version), items in found.items()
    ]


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_form_of_a_cluster_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    objects = named_scenario(name).objects
    expected = rules(load_objects(objects, lenient=True))
    forms = {
        "documents.yaml": yaml.safe_dump_all(objects),
        "list.yaml": yaml.safe_dump(as_list(objects)),
        "flow.yaml": yaml.safe_dump(as_list(objects), default_flow_style=True),
        "list.json": json.dumps(as_list(objects), indent=4),
        "one-a-line.json": "\n".join(json.dumps(raw) for raw in objects),
        "array-less.json": "".join(json.dumps(raw) for raw in objects),
        "typed.json": "\n".join(json.dumps(raw) for raw in typed_lists(objects)),
        "nested.json": json.dumps(as_list([as_list(objects)])),
    }

    assert len(SCENARIOS) == 5
    assert "KUBE-SVC-" in expected
    for file, text in forms.items():
        (tmp_path / file).write_text(text)
        assert rules(load(tmp_path / file, lenient=True)) == expected, file
    assert rules(load_objects([as_list(objects)], lenient=True)) == expected


@pytest.fixture
def kubectl() -> str:
    found = shutil.which("kubectl")
    if found is None:
        pytest.skip("kubectl is not on this machine")
    return found


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_what_kubectl_create_prints_goes_in_as_it_is(
    kubectl: str, form: str, tmp_path: Path
) -> None:
    def create(*arguments: str) -> str:
        return subprocess.run(
            [kubectl, "create", *arguments, "--dry-run=client", "-o", form],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    parts = [
        create("service", "nodeport", "web", "--tcp=80:8080"),
        create("deployment", "web", "--image=nginx", "--replicas=2"),
    ]
    path = tmp_path / f"made.{form}"
    path.write_text(("---\n" if form == "yaml" else "").join(parts))

    loaded = load(path)

    assert [str(problem) for problem in loaded.problems] == []
    service = loaded.cluster.services["default", "web"]
    (endpoint_slice,) = loaded.cluster.slices_of(service)
    # kubectl gives both the label app=web.
    assert len(endpoint_slice.endpoints) == 2


def test_what_kubectl_expose_prints_goes_in_as_it_is() -> None:
    # kubectl run and kubectl expose ask a server for kinds even in a client's dry run, so what
    # they print is kept here, written by hand after kubectl's documentation.
    loaded = load(FIXTURES / "manifests" / "kubectl-run-and-expose.yaml")

    assert [str(problem) for problem in loaded.problems] == []
    (endpoint_slice,) = loaded.cluster.slices_of(loaded.cluster.services["default", "web"])
    assert [endpoint.target for endpoint in endpoint_slice.endpoints] == ["default/web"]
