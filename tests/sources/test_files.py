"""Files, directories and standard input."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

import pytest

from nptables import InvalidInput
from nptables.sources import load

if TYPE_CHECKING:
    from pathlib import Path

NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: %s}\n"


def only_problem(*paths: str | os.PathLike[str]) -> str:
    (problem,) = load(*paths).problems
    return str(problem)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "node.yaml"
    path.write_text(NODE % "node1")
    return path


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(manifest: Path, encoding: str) -> None:
    manifest.write_text(NODE % "node1", encoding=encoding)

    assert list(load(manifest).cluster.nodes) == ["node1"]


def test_standard_input_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    data = io.TextIOWrapper(io.BytesIO((NODE % "node1").encode()))
    monkeypatch.setattr(sys, "stdin", data)

    assert list(load("-").cluster.nodes) == ["node1"]


def test_standard_input_named_twice_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO((NODE % "node1").encode())))

    assert only_problem("-", "-") == "<stdin>: standard input is read once (write - only once)"


def test_a_directory_is_its_manifests_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.yml", "a.json", "c.txt"):
        (tmp_path / name).write_text(NODE % name[0] if name[0] != "a" else "{}")
    (tmp_path / "a.json").write_text(
        '{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}}'
    )

    assert list(load(tmp_path).cluster.nodes) == ["a", "b"]


def test_a_directory_without_manifests_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()

    assert only_problem(tmp_path) == (
        f"{tmp_path}: there is no Kubernetes object in it "
        "(a Service, EndpointSlice or Node as YAML or JSON)"
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"items": []}',
        '{"apiVersion": "v1", "kind": "List", "items": []}',
        '{"apiVersion": "v1", "kind": "ServiceList", "items": null}',
        '{"apiVersion": "v1", "kind": "List", "items": [{"kind": "List", "items": []}]}',
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
def test_an_empty_list_is_a_mistake_because_a_list_without_rights_is_as_empty(
    tmp_path: Path,
    text: str,
    lenient: bool,  # noqa: FBT001
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)

    loaded = load(path, lenient=lenient)

    assert not loaded.lenient
    assert [str(problem) for problem in loaded.problems] == [
        (
            f"{path}: holds an empty list, so there is nothing to look at (an account without the "
            "right to read them may get it too: try kubectl auth can-i list services -A)"
        )
    ]


def test_an_empty_list_beside_objects_is_no_mistake(tmp_path: Path, manifest: Path) -> None:
    empty = tmp_path / "empty.json"
    empty.write_text('{"apiVersion": "v1", "kind": "List", "items": []}')

    assert list(load(empty, manifest).cluster.nodes) == ["node1"]


@pytest.mark.parametrize("text", [None, b"\xff", b"kind: [\n"])
def test_no_leniency_makes_a_cluster_of_what_cannot_be_read(
    tmp_path: Path, manifest: Path, text: bytes | None
) -> None:
    other = tmp_path / "other.yaml"
    if text is not None:
        other.write_bytes(text)

    loaded = load(manifest, other, lenient=True)

    with pytest.raises(InvalidInput):
        _ = loaded.cluster


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert only_problem(tmp_path / "no.yaml") == f"{tmp_path}/no.yaml: there is no such file"


def test_an_empty_name_and_a_name_with_a_nul_are_mistakes() -> None:
    assert "a file name is empty" in only_problem("")
    assert "cannot be read" in only_problem("a\0b")


def test_an_unreadable_device_is_a_mistake_and_no_traceback() -> None:
    assert "cannot be read: " in only_problem("/proc/self/mem")


def test_an_empty_file_beside_others_is_no_mistake(tmp_path: Path, manifest: Path) -> None:
    empty = tmp_path / "empty.yaml"
    empty.write_text("")

    assert list(load(empty, manifest).cluster.nodes) == ["node1"]
    assert "there is no Kubernetes object in the input" in only_problem(empty)


def test_kinds_that_decide_nothing_are_counted(tmp_path: Path, manifest: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "apiVersion: v1\nkind: Secret\n---\napiVersion: v1\nkind: Secret\n---\n"
        "apiVersion: serving.knative.dev/v1\nkind: Service\nspec: {odd: true}\n"
    )

    loaded = load(manifest, other)

    assert loaded.problems == ()
    assert loaded.ignored == {"Secret": 2, "Service": 1}


def test_an_object_knows_its_file_and_line(manifest: Path) -> None:
    manifest.write_text("---\n" + NODE % "node1")
    loaded = load(manifest)

    assert loaded.place("Node", "", "node1") == (str(manifest), 2, 1)
    assert loaded.place("Node", "", "node1", ("metadata", "name")) == (str(manifest), 4, 12)
    assert loaded.place("Node", "", "other") is None


def test_names_from_outside_reach_no_terminal_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "x\x1b[31m\n.yaml"
    path.write_text('apiVersion: v1\nkind: "Serv\\e[31mice"\nmetadata: {name: "a\\nb"}\n')

    (problem,) = load(path).problems

    assert str(problem).isprintable()
