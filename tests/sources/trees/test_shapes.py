"""Trees in the shapes that repositories have, each judged by hand, with their programs and without.

fixtures/trees has one file for each: why it is there, what is right, and the tree itself.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from nptables.cli import main
from tests.support.archives import Archive, read_archive
from tests.support.renderers import give
from tests.support.scenarios import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

TREES = {path.stem: read_archive(path) for path in sorted((FIXTURES / "trees").glob("*.txt"))}
_FOUND = re.compile(r"(NPT\d+) (\S+)(?: (\S+))?")
_UNKNOWN = re.compile(r"the endpoints of Service \S+ are not known")


def test_there_are_trees_of_every_shape() -> None:
    assert len(TREES) >= 40


@pytest.mark.parametrize("name", TREES)
def test_a_tree_is_judged_as_by_hand(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    tree = TREES[name]
    tree.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    needs = tree.fields.get("needs", "kustomize helm")
    give(monkeypatch, *([] if needs.startswith("no ") else needs.split()))

    code = main(["check", ".", "-v", "-o", "json", *tree.fields.get("args", "").split()])

    out, err = capfd.readouterr()
    assert tree.number("exit") == code, err
    assert tree.listed("found") == sorted(_told(tree, json.loads(out)))
    assert tree.number("unknown") == len(_UNKNOWN.findall(err)), err
    assert tree.number("skipped") == err.count("note: skipped: "), err
    assert tree.listed("left out") == sorted(re.findall(r"warning: (\S+) is left out", err)), err
    assert tree.fields.get("error", "") in err
    assert ("error: " in err) == ("error" in tree.fields), err


@pytest.mark.parametrize("name", [name for name, tree in TREES.items() if "sets" in tree.fields])
def test_the_sets_are_those_that_belong_together(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nptables.sources import load_sets

    tree = TREES[name]
    tree.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    needs = tree.fields.get("needs", "kustomize helm")
    give(monkeypatch, *([] if needs.startswith("no ") else needs.split()))
    words = tree.fields.get("args", "").split()

    sets = load_sets(
        ".",
        exclude=[words[i + 1] for i, word in enumerate(words) if word == "--exclude"],
        values=[words[i + 1] for i, word in enumerate(words) if word == "--values"],
        render="--no-render" not in words,
    )

    assert tree.listed("sets") == sorted(one.name for one in sets.judged if not one.problems)


def _told(tree: Archive, document: dict[str, Any]) -> list[str]:
    """Return the findings in as many words as the archive has for them."""
    places = any(_FOUND.fullmatch(text)[3] for text in tree.listed("found"))  # type: ignore[index]
    told = []
    for finding in document.get("findings", []):
        text = f"{finding['code']} {finding['namespace']}/{finding['object']}"
        line = f":{finding['line']}" if finding["line"] else ""
        told.append(f"{text} {finding['file']}{line}" if places else text)
    return told
