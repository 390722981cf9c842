"""Whatever the bytes, reading ends: in a cluster or in problems, never in a traceback.

NPTABLES_FUZZ=30 makes thirty times as many examples (about ten minutes).
"""

from __future__ import annotations

import copy
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nptables import Family, ProxyConfig, translate
from nptables.errors import InvalidInput
from nptables.sources import Loaded, load_objects
from nptables.sources import load as load_files
from nptables.sources.text import Input, parse_text
from nptables.sources.text.files import decode
from tests.support.scenarios import FIXTURES

TIMES = int(os.environ.get("NPTABLES_FUZZ", "1"))
SEEDS = [
    FIXTURES / "tutorial" / "two-nodes.yaml",
    FIXTURES / "manifests" / "kubectl-run-and-expose.yaml",
    FIXTURES / "manifests" / "mistakes" / "deployment-labels.yaml",
    FIXTURES / "manifests" / "mistakes" / "node-address.yaml",
    FIXTURES / "conformance" / "named" / "nodeport-dual-stack" / "cluster.yaml",
    FIXTURES / "conformance" / "named" / "topology-node-hints" / "cluster.yaml",
]
ENDPOINTS = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "web", "namespace": "default"},
    "subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80, "name": "a"}]}],
}
WEB = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"type": "LoadBalancer", "selector": {"run": "web"}, "ports": [{"port": 80}]},
}
CONFIG_MAP = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c"},
    "data": {"c": "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"},
}
TEXTS = [path.read_bytes() for path in SEEDS]
DOCUMENTS = [[document for document in yaml.safe_load_all(text) if document] for text in TEXTS] + [
    [ENDPOINTS, WEB],
    [CONFIG_MAP, WEB],
]


def fuzz(examples: int) -> Any:
    return settings(
        max_examples=examples * TIMES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["", "None", "10.0.0.1", "::1", "10.0.0.0/8", "a\nb", "-j ACCEPT", "Local", "web", "\ud800"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "ip", "port", "spec", "kind", "items", "metadata"])
            | st.text(max_size=5),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return every container with each of its keys or indices."""
    found: list[tuple[Any, Any]] = []
    pending = [value]
    while pending:
        container = pending.pop()
        keys = list(container) if isinstance(container, dict) else range(len(container))
        for key in keys:
            found.append((container, key))
            if isinstance(container[key], dict | list):
                pending.append(container[key])
    return found


@st.composite
def mutated_objects(draw: st.DrawFn) -> list[Any]:
    objects = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 4))):
        container, key = draw(st.sampled_from(places(objects)))
        how = draw(st.sampled_from(["replace", "delete", "rename"]))
        if how == "replace" or isinstance(container, list):
            container[key] = draw(junk)
        else:
            value = container.pop(key)
            if how == "rename":
                container[draw(st.text(max_size=8))] = value
        if not places(objects):
            break
    return objects


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(TEXTS)))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.integers(0, 20)))
        data[start:stop] = draw(
            st.binary(max_size=6)
            | st.sampled_from(
                [b"\n", b"\t", b": ", b"- ", b"{", b"[", b"&a ", b"*a", b"---\n", b'"']
            )
        )
    return bytes(data)


def check(loaded: Loaded) -> None:
    """Every message is one printable line, and what was read makes rules of single lines."""
    for said in (*loaded.problems, *loaded.previews, *loaded.notes):
        assert str(said).isprintable()
        assert 0 < len(str(said)) < 2500
    for problem in loaded.problems:
        problem.to_dict()
    if loaded.problems and not loaded.lenient:
        with pytest.raises(InvalidInput):
            _ = loaded.cluster
        return
    cluster = loaded.cluster
    node = cluster.node(min(cluster.nodes) if cluster.nodes else "node1")
    for family in Family:
        text = translate(cluster, node, ProxyConfig(), family).to_save()
        assert all(line[:1] in "*:-C#" for line in text.splitlines())
        assert "-j ACCEPT -j" not in text


@pytest.mark.long
@fuzz(1500)
@given(mutated_objects(), st.booleans())
def test_mutated_objects_end_in_rules_or_in_problems(
    objects: list[Any],
    lenient: bool,  # noqa: FBT001 - hypothesis fills it in
) -> None:
    check(load_objects(objects, lenient=lenient))


@fuzz(900)
@given(mutated_bytes(), st.booleans(), st.booleans())
def test_mutated_manifests_end_in_rules_or_in_problems(
    data: bytes,
    lenient: bool,  # noqa: FBT001
    preview: bool,  # noqa: FBT001
) -> None:
    path = Path(os.environ.get("TMPDIR", "/tmp")) / f"nptables-fuzz-{os.getpid()}.yaml"
    try:
        path.write_bytes(data)
        check(load_files(path, lenient=lenient, preview=preview))
    finally:
        path.unlink(missing_ok=True)


@fuzz(800)
@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
def test_any_bytes_end_in_documents_or_in_problems(data: bytes) -> None:
    for name in ("x.yaml", "x.json", "x"):
        found = decode(name, data)
        if isinstance(found, Input):
            documents, problems = parse_text(found)
            for problem in problems:
                assert str(problem).isprintable()
            for document in documents:
                document.locate(("spec", "ports", 0))


@fuzz(800)
@given(st.text(alphabet="ab:-#&*!|>{}[],'\"?%@`\n\t \\<~0", max_size=60))
def test_any_punctuation_ends_in_documents_or_in_problems(text: str) -> None:
    _, problems = parse_text(Input("x.yaml", text))

    for problem in problems:
        assert str(problem).isprintable()
        assert problem.line is not None
        assert 1 <= problem.line <= text.count("\n") + 2


BOMBS = {
    "nested lists": "a: " + "[" * 1_000_000,
    "nested maps": "a: " + "{a: " * 500_000,
    "nested by indentation": "".join(" " * n + "a:\n" for n in range(2000)),
    "nested JSON": '{"a":' * 1_000_000,
    "a billion laughs": "a0: &a0 [x]\n"
    + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 30)),
    "laughing merges": "a0: &a0 {k: v}\n"
    + "".join(f"a{n}: &a{n} {{b: *a{n - 1}, c: *a{n - 1}, <<: *a{n - 1}}}\n" for n in range(1, 60)),
    "a long number": "a: " + "9" * 3_000_000,
    "a long JSON number": '{"a": ' + "9" * 3_000_000 + "}",
    "many documents": "---\na: b: c\n" * 3000,
    "many anchors": "".join(f"a{n}: &a{n} x\n" for n in range(50_000)),
    "one long line": "a: " + "x" * 10_000_000,
    "lists in lists": '{"kind":"List","items":[' * 300 + "]}" * 300,
    "many wrong fields": "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n"
    + "".join(f"  f{n}: 1\n" for n in range(5000)),
    "many replicas": "kind: Deployment\napiVersion: apps/v1\nspec: {replicas: 2147483647}\n",
}


READ_TWICE = """
from nptables.sources import load
print(len(load("-").problems), len(load("-", lenient=True).problems))
"""


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_neither_memory_nor_time_without_end(name: str) -> None:
    # The limits are far above what reading takes (a fraction of a second, some 60 MB each) and
    # far below what a bomb that goes off would take.
    limit = 700 * 1024 * 1024
    done = subprocess.run(
        [sys.executable, "-c", READ_TWICE],
        input=BOMBS[name].encode(),
        capture_output=True,
        timeout=120,
        check=False,
        cwd=FIXTURES.parent,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )

    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert done.stdout.split()[0] != b"0"
