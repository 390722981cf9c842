"""What `.gitignore` leaves out: compared with git itself, on random patterns and trees."""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING

import pytest

from nptables.sources.trees.walking import walk
from tests.support.requirements import requires

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("a", "b", "ab", "a b", "build", "x.yaml", "y.yaml", "a.b.yaml", "[x].yaml", "#h.yaml")
PIECES = (
    "*", "**", "?", "a", "b", "build", "x.yaml", "*.yaml", "[ab]", "[!a]*", "a*", "*b", "y?yaml",
    "\\#h.yaml", "[x].yaml", "\\[x\\].yaml", "a b", "[a-c]", "[[:alpha:]]*",
)  # fmt: skip


def pattern(dice: random.Random) -> str:
    """Make one line of a `.gitignore`."""
    middle = "/".join(dice.choice(PIECES) for _ in range(dice.choice((1, 1, 1, 2, 3))))
    before, after = (
        dice.choice(("", "", "", "/", "!", "**/")),
        dice.choice(("", "", "/", "/**", " ")),
    )
    return before + middle + after


def make(folder: Path, dice: random.Random, depth: int = 3) -> None:
    """Make files, folders and a `.gitignore` now and then."""
    folder.mkdir(exist_ok=True)
    for name in dice.sample(NAMES, 6):
        if name.endswith(".yaml"):
            (folder / name).write_text("")
        elif depth:
            make(folder / name, dice, depth - 1)
    if depth == 3 or dice.random() < 0.3:
        lines = [pattern(dice) for _ in range(dice.randint(1, 4))]
        (folder / ".gitignore").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seed", range(40))
def test_the_files_that_are_left_are_those_that_git_would_add(tmp_path: Path, seed: int) -> None:
    requires("git")
    top = tmp_path / "top"
    make(top, random.Random(seed))
    subprocess.run(["git", "init", "-q", top], check=True)
    asked = ["git", "-C", top, "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\0")

    found = walk(str(top)).files

    wanted = sorted(str(top / name) for name in listed if name.endswith(".yaml"))
    assert wanted == sorted(found)


def test_a_folder_in_a_repository_is_read_as_the_files_above_it_say(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    below = tmp_path / "deploy" / "k8s"
    below.mkdir(parents=True)
    (tmp_path / ".gitignore").write_text("*.gen.yaml\n/deploy/k8s/old.yaml\n")
    for name in ("web.yaml", "web.gen.yaml", "old.yaml"):
        (below / name).write_text("")

    assert [str(below / "web.yaml")] == walk(str(below)).files


def test_the_folder_that_was_named_is_read_although_it_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "web.yaml").write_text("")

    assert walk(str(tmp_path)).files == []
    assert [str(tmp_path / "build" / "web.yaml")] == walk(str(tmp_path / "build")).files
