"""What stands on the command line: folders, files that head a set, and files beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables import InvalidInput, load
from nptables.cli import main
from nptables.sources import load_sets
from tests.support.renderers import give
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

FOUND = FIXTURES / "manifests-as-found"
TREE = FOUND / "tree"


def test_a_folder_twice_and_one_within_another_are_read_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    give(monkeypatch, "kustomize")

    names = [one.name for one in load_sets(TREE, TREE / "k8s", f"{TREE}/", TREE).judged]

    assert names == [
        f"{TREE}/{name}" for name in ("k8s/dev", "k8s/prod", "kustomize/overlays/prod")
    ]


def test_a_file_beside_a_folder_belongs_to_what_is_plain_in_it(tmp_path: Path) -> None:
    text = (FOUND / "selector-typo.yaml").read_text()
    service, deployment = text.split("---\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "service.yaml").write_text(service)
    (tmp_path / "deployment.yaml").write_text(deployment.replace("wbe", "web"))

    (judged,) = load_sets(tmp_path / "tree", tmp_path / "deployment.yaml").judged

    assert len(next(iter(judged.cluster.slices.values())).endpoints) == 2


def test_a_file_of_that_name_that_is_no_kustomization_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "kustomization.yaml"
    path.write_text((FOUND / "rollout.yaml").read_text())

    assert list(load(path).cluster.services) == [("shop", "web")]


def test_a_kustomization_that_is_not_there_is_a_mistake(tmp_path: Path) -> None:
    (problem,) = load(tmp_path / "kustomization.yaml").problems

    assert str(problem) == f"{tmp_path}/kustomization.yaml: there is no such file"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("- a\n", "is not a kustomization: it must be one object"),
        ("resources: []\n---\nresources: []\n", "is not a kustomization: it must be one object"),
        ("resources: [a, gone.yaml]\n", "resources[0]: a is not there"),
        ("a: b: c\n", "YAML: "),
    ],
)
def test_what_is_wrong_with_a_kustomization_is_said_without_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr("nptables.sources.trees.kustomizations.output_of", None)
    give(monkeypatch, "kustomize")
    (tmp_path / "kustomization.yaml").write_text(text)

    problem = load(tmp_path).problems[0]

    assert said in str(problem)
    assert problem.file == f"{tmp_path}/kustomization.yaml"


def test_a_tree_of_several_sets_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch)

    with pytest.raises(InvalidInput, match="there are 2 sets"):
        _ = load(TREE / "k8s").cluster


def test_values_that_are_not_there_are_a_mistake_of_the_command_line(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["check", str(TREE), "--values", "gone.yaml"]) == 2
    assert "'gone.yaml' does not exist" in capfd.readouterr().err


def test_a_file_that_is_named_is_never_passed_over(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(TREE / "package.json"), str(TREE / "k8s")]) == 2
    assert "package.json:1:1: has no kind" in capfd.readouterr().err


def test_files_that_are_named_beside_their_kustomization_are_judged_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    base = TREE / "kustomize" / "base"
    files = [base / name for name in ("kustomization.yaml", "service.yaml", "deployment.yaml")]

    give(monkeypatch, "kustomize")
    assert [one.name for one in load_sets(*files).judged] == [str(base)]

    give(monkeypatch)
    (plain,) = load_sets(*files).judged
    assert list(plain.cluster.services) == [("shop", "web")]


@pytest.mark.parametrize("glob", ["k8s/dev", "tree/k8s/dev", "dev", "d?v", "**/dev", "tree/*/dev/"])
def test_a_glob_leaves_out_a_folder(glob: str, monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch)
    monkeypatch.chdir(FOUND)

    assert [one.name for one in load_sets("tree", exclude=[glob]).judged] == ["tree"]
