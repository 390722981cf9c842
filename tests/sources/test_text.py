"""YAML and JSON mean what kubectl takes them to mean, and every field has its place."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from nptables.sources.text import Document, Input, parse_text
from tests.support.scenarios import FIXTURES

MANIFESTS = FIXTURES / "manifests"


def parsed(text: str, name: str = "f.yaml") -> tuple[list[Any], list[str]]:
    documents, problems = parse_text(Input(name, text))
    return [document.value for document in documents], [str(problem) for problem in problems]


def document(text: str, name: str = "f.yaml") -> Document:
    (found,), problems = parse_text(Input(name, text))
    assert not problems
    return found


def test_plain_scalars_mean_what_kubectl_made_of_them() -> None:
    recorded = json.loads((MANIFESTS / "yaml-scalars.json").read_text())
    del recorded["metadata"]["labels"]

    (found,), problems = parsed((MANIFESTS / "yaml-scalars.yaml").read_text())

    assert problems == []
    assert found == recorded
    # 1 == True == 1.0 in Python.
    assert json.dumps(found, sort_keys=True) == json.dumps(recorded, sort_keys=True)


def test_the_recording_is_what_kubectl_says_today() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on this machine")
    path = MANIFESTS / "yaml-scalars.yaml"

    said = subprocess.run(
        [kubectl, "label", "--local", "-f", str(path), "x=y", "-o", "json"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert json.loads(said) == json.loads((MANIFESTS / "yaml-scalars.json").read_text())


@pytest.mark.parametrize("text", ["a: .nan", "a: .inf", "a: -.Inf", "? [a]\n: b", "~: a"])
def test_what_json_cannot_hold_is_refused(text: str) -> None:
    found, problems = parsed(text)

    assert found == []
    assert len(problems) == 1


def test_places_are_those_of_the_keys_and_of_the_items() -> None:
    found = document("# comment\nspec:\n  ports:\n  - port: 80\n    name: a\n  - {port: 81}\n")

    assert found.locate(("spec",)) == (2, 1)
    assert found.locate(("spec", "ports", 0)) == (4, 5)
    assert found.locate(("spec", "ports", 0, "name")) == (5, 5)
    assert found.locate(("spec", "ports", 1, "port")) == (6, 6)
    # What is not there stands where it would belong.
    assert found.locate(("spec", "ports", 1, "nodePort")) == (6, 5)
    assert found.locate(("spec", "selector", "app")) == (2, 1)


def test_json_has_the_same_places() -> None:
    found = document('{"spec":\n {"ports": [\n  {"port": 80},\n  {"port": 81}]}}', "f.json")

    assert found.locate(("spec",)) == (1, 2)
    assert found.locate(("spec", "ports")) == (2, 3)
    assert found.locate(("spec", "ports", 1, "port")) == (4, 4)
    assert found.locate(("spec", "ports", 1, "nodePort")) == (4, 3)


def test_several_json_documents_in_a_row_are_read() -> None:
    assert parsed('{"a": 1}\n{"b": 2} {"c": 3}\n')[0] == [{"a": 1}, {"b": 2}, {"c": 3}]


def test_yaml_in_flow_style_is_not_taken_for_json() -> None:
    assert parsed("{a: 1, b: [x, z]}") == ([{"a": 1, "b": ["x", "z"]}], [])


def test_json_in_a_yaml_file_is_read() -> None:
    assert parsed('{"a": [1, 2]}') == ([{"a": [1, 2]}], [])


def test_yaml_on_standard_input_is_read() -> None:
    assert parsed("a: 1", "<stdin>") == ([{"a": 1}], [])


def test_aliases_stand_for_what_they_name() -> None:
    assert parsed("a: &x {b: 1}\nc: *x\n")[0] == [{"a": {"b": 1}, "c": {"b": 1}}]


def test_a_document_start_in_a_block_of_text_does_not_confuse_the_lines() -> None:
    _, problems = parsed("a: 1\n---\nb: |\n  ---\n  x\nc: d: e\n---\nf: g: h\n")

    assert [problem.split(": ")[0] for problem in problems] == ["f.yaml:6:5", "f.yaml:8:5"]


def test_windows_line_ends_change_no_value_and_no_line() -> None:
    found = document("a: 1\r\nb:\r\n  c: x\r\n")

    assert found.value == {"a": 1, "b": {"c": "x"}}
    assert found.locate(("b", "c")) == (3, 3)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": NaN}', "1:7"),
        ('{"a":\n 1 "b"}', "2:4"),
        ('["x\ny"]', "1:4"),
        ('{"a": 1}}', "1:9"),
        ('{"a": ' + "9" * 5000 + "}", "1:1"),
        ("[" * 100_000, "1:1"),
    ],
)
def test_broken_json_is_located(text: str, place: str) -> None:
    _, problems = parsed(text, "f.json")

    assert problems[0].startswith(f"f.json:{place}: ")
    assert len(problems[0]) < 200


def test_progress_is_told_while_a_large_yaml_file_is_read() -> None:
    text = "- {a: 1, b: 2}\n" * 10_000
    told: list[tuple[str, int, int]] = []

    parse_text(Input("big.yaml", text), lambda *seen: told.append(seen))

    assert len(told) > 2
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    assert {(name, total) for name, _, total in told} == {("big.yaml", len(text))}
