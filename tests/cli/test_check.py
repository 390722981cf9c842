"""`nptables check`, as a user and a pipeline call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from nptables.cli import main
from tests.support.scenarios import CONFORMANCE, FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

# A Service with a Local policy and no endpoint on the only Node.
SOME = str(CONFORMANCE / "named" / "nodeport-local-policy-no-local-endpoint" / "cluster.yaml")
# In line 6, column 3: spec.type is "Nodeport".
MISTAKE = FIXTURES / "manifests" / "mistakes" / "type-typo.yaml"

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: web, image: web}]}}
"""


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--select=NPT999", 'no code "NPT999" (docs/checks.md has them all)'),
        ("--select=", 'no code ""'),
        ("--select=NPT101,", 'no code ""'),
        ("--ignore=NPT1O2", 'no code "NPT1O2" (did you mean NPT102?)'),
        ("--ignore=NPT1021", 'no code "NPT1021"'),
        ("--select=npt201,no-redy-endpoint", "did you mean no-ready-endpoint?"),
    ],
)
def test_a_code_that_there_is_not_is_a_wrong_command_line(
    option: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", SOME, option]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert said in err


@pytest.mark.parametrize("word", ["NPT102", "npt102", "NPT1", "NPT", "local-policy-gap"])
def test_a_code_may_be_meant_by_its_beginning_or_its_name(
    word: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", SOME, "--select", word, "-o", "json"]) == 1

    codes = {finding["code"] for finding in json.loads(capfd.readouterr().out)["findings"]}
    assert "NPT102" in codes
    assert main(["check", SOME, "--ignore", word, "--select", "NPT102"]) == 0


def result(out: str) -> tuple[dict[str, Any], dict[str, Any]]:
    (run,) = json.loads(out)["runs"]
    (rule,), (found,) = run["tool"]["driver"]["rules"], run["results"]
    return rule, found


def test_wrong_input_is_a_finding_in_sarif(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(MISTAKE), "-o", "sarif", "--ignore", "NPT001", "--exit-zero"]) == 2

    rule, found = result(capfd.readouterr().out)
    assert rule["id"] == found["ruleId"] == "NPT001"
    assert found["level"] == "error"
    assert "spec.type" in found["message"]["text"]
    (location,) = found["locations"]
    assert location["physicalLocation"] == {
        "artifactLocation": {"uri": str(MISTAKE)},
        "region": {"startLine": 6},
    }


def test_a_file_that_is_not_there_is_a_finding_without_a_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", "nowhere.yaml", "--output=sarif"]) == 2

    _, found = result(capfd.readouterr().out)
    assert found["message"]["text"] == "there is no such file. Nothing else was checked."
    assert found["locations"] == [
        {"physicalLocation": {"artifactLocation": {"uri": "nowhere.yaml"}}}
    ]


@pytest.mark.parametrize("command", ["check", "diff"])
def test_wrong_input_is_an_annotation_in_github(
    command: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [str(MISTAKE)] if command == "check" else [str(MISTAKE), SOME]

    assert main([command, *files, "--node", "x", "-o", "github"]) == 2

    (line,) = capfd.readouterr().out.splitlines()
    assert line.startswith(f"::error file={MISTAKE},line=6,title=NPT001 invalid-input::")


def test_a_node_that_there_is_not_is_a_finding_too(capfd: pytest.CaptureFixture[str]) -> None:
    tutorial = str(FIXTURES / "tutorial" / "two-nodes.yaml")

    assert main(["check", tutorial, "--node", "node3", "-o", "github"]) == 2
    assert '::error title=NPT001 invalid-input::Node: there is no node "node3"' in (
        capfd.readouterr().out
    )


@pytest.mark.parametrize("text", ['{"items": []}', ""])
def test_nothing_to_check_is_no_success(
    text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.json"
    path.write_text(text)

    assert main(["check", str(path)]) == 2
    assert main(["check", str(path), "--lenient", "--exit-zero"]) == 2
    assert capfd.readouterr().out == ""


def test_objects_without_a_service_are_one_line_of_words(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "deployment.yaml"
    path.write_text(DEPLOYMENT)

    assert main(["check", str(path)]) == 0

    said = "note: there is no Service in the input, so none was checked\n"
    assert capfd.readouterr() == ("", said)
