"""`nptables check` on a tree of several sets, in every format."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from tests.support.archives import read_archive
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sets: dev, whose selector has a slip in line 5, and prod, in which line 6 is wrong."""
    read_archive(FIXTURES / "trees" / "wrong-in-one-set.txt").write(tmp_path)
    monkeypatch.chdir(tmp_path)


def test_findings_stand_under_the_name_of_their_set(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "."]) == 2

    shown = capfd.readouterr()
    name, finding, *said = shown.out.splitlines()
    assert name == "dev:"
    assert finding.startswith("dev/web.yaml:5: error NPT130: Service shop/web: ")
    assert said[0].startswith('    do: Write "app: web" in the selector (dev/web.yaml:5)')
    assert said[-1] == "    Nothing is selected: connections are refused on every node."
    assert "error: prod/web.yaml:6:24: Service shop/web: spec.ports[0].port: " in shown.err


def test_what_is_wrong_in_one_set_stands_beside_the_findings_of_the_others(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", ".", "-o", "sarif", "--exit-zero"]) == 2
    (run,) = json.loads(capfd.readouterr().out)["runs"]
    assert [
        (found["ruleId"], found["message"]["text"].partition(": ")[0]) for found in run["results"]
    ] == [("NPT001", "prod"), ("NPT130", "dev")]

    assert main(["check", ".", "-o", "github"]) == 2
    first, second = capfd.readouterr().out.splitlines()
    assert first.startswith("::error file=prod/web.yaml,line=6,title=NPT001 invalid-input::prod: ")
    assert second.startswith("::error file=dev/web.yaml,line=5,title=NPT130 selector-slip::dev: ")

    assert main(["check", ".", "-o", "json"]) == 2
    document = json.loads(capfd.readouterr().out)
    assert [found["set"] for found in document["findings"]] == ["dev"]
    assert [problem["file"] for problem in document["problems"]] == ["prod/web.yaml"]


@pytest.mark.parametrize("evidence", ["--current", "--conntrack"])
def test_what_is_known_of_a_node_belongs_to_one_cluster(
    evidence: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    main(["check", "dev", "--node", "n", evidence, "gone.txt"])
    assert "gone.txt: there is no such file" in capfd.readouterr().err
    read_archive(FIXTURES / "trees" / "dev-prod.txt").write(tmp_path / "other")

    assert main(["check", "other", "--node", "n", evidence, "gone.txt"]) == 2
    assert "there are 2 sets, each a cluster of its own" in capfd.readouterr().err
