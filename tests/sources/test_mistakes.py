"""What a reader is told of each mistake, word for word.

Every message in messages.txt was read as somebody would who made the mistake and knows no more.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nptables import InvalidInput
from nptables.cli import main
from nptables.sources import load
from tests.support.scenarios import FIXTURES

MISTAKES = FIXTURES / "manifests" / "mistakes"
TUTORIAL = FIXTURES / "tutorial"


def messages() -> dict[str, list[str]]:
    """Return the lines under each `## file` of messages.txt."""
    found: dict[str, list[str]] = {}
    for line in (MISTAKES / "messages.txt").read_text().splitlines():
        if line.startswith("## "):
            found[line[3:]] = []
        else:
            found[list(found)[-1]].append(line)
    return found


MESSAGES = messages()


def test_every_mistake_has_its_message() -> None:
    files = {file.name for file in MISTAKES.iterdir()} - {"messages.txt"}

    assert files == set(MESSAGES)
    assert len(files) >= 40


@pytest.mark.parametrize("name", MESSAGES)
def test_the_message_says_what_is_wrong_and_what_would_be_right(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(MISTAKES)

    assert [str(problem) for problem in load(name).problems] == MESSAGES[name]


@pytest.mark.parametrize("name", MESSAGES)
def test_a_mistake_ends_a_command_with_2_and_no_data(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(MISTAKES)

    assert main(["render", name, "--node", "node1"]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [f"error: {line}" for line in MESSAGES[name]]


def test_the_tutorials_indented_selector_is_explained() -> None:
    path = TUTORIAL / "broken-indent.yaml"

    (problem,) = load(path).problems
    assert str(problem) == (
        f'{path}:8:5: YAML: "selector:" is indented under "type: NodePort", which has its value '
        'already (begin "selector:" in the same column as "type:")'
    )


def test_the_tutorials_affinity_value_is_explained() -> None:
    path = TUTORIAL / "affinity-typo.yaml"

    (problem,) = load(path).problems
    assert str(problem) == (
        f"{path}:8:3: Service default/nodeport-service: spec.sessionAffinity: "
        '"ClusterIP" is not one of None, ClientIP (did you mean ClientIP?)'
    )


def test_the_problems_of_all_files_come_at_once_in_the_order_of_reading(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(MISTAKES)
    names = ["type-typo.yaml", "tab-indent.yaml", "cut-off.json"]

    found = [str(problem) for problem in load(*names).problems]

    assert found == [line for name in names for line in MESSAGES[name]]


def test_a_document_that_does_not_parse_hides_no_mistake_in_the_others(tmp_path: Path) -> None:
    path = tmp_path / "both.yaml"
    good = (MISTAKES / "type-typo.yaml").read_text()
    path.write_text(f"{good}---\na: b: c\n---\n{good.replace('name: web', 'name: api')}")

    found = [(problem.line, problem.name) for problem in load(path).problems]

    # type-typo.yaml has 12 lines and its mistake in line 6; 12 + "---" + 1 + "---" is 15.
    assert found == [(6, "web"), (14, ""), (15 + 6, "api")]


def test_a_lenient_reading_warns_and_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    path = str(MISTAKES / "label-number.yaml")

    assert main(["render", path, "--node", "node1", "--lenient"]) == 0

    assert "warning: " in capfd.readouterr().err


def test_problems_can_be_had_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["render", str(MISTAKES / "type-typo.yaml"), "-o", "json"]) == 2

    (problem,) = json.loads(capfd.readouterr().out)["problems"]
    assert problem["field"] == "spec.type"
    assert (problem["line"], problem["column"]) == (6, 3)
    assert Path(problem["file"]).name == "type-typo.yaml"


def test_half_a_cluster_is_never_mistaken_for_a_whole_one() -> None:
    with pytest.raises(InvalidInput, match=r"spec\.type"):
        _ = load(MISTAKES / "type-typo.yaml").cluster
