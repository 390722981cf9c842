"""CONTRIBUTING.md names things that are there."""

from __future__ import annotations

import re

import pytest

from tests.support.documentation import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TEXT.partition("## Where does it go?")[2].splitlines()
    if line.startswith("| ") and "---" not in line
][1:]
# What a stranger asks for first.
ASKED = ("a match", "a check", "a habit", "an output", "a backend")
PLACEHOLDER = "NAME.py"


def paths(cell: str) -> list[str]:
    return [word for word in re.findall(r"`([^`]+)`", cell) if "/" in word]


@pytest.mark.parametrize("asked", ASKED)
def test_one_file_is_named_for_what_a_stranger_wants_to_add(asked: str) -> None:
    (first, *_) = [row for row in ROWS if row[0].startswith(asked)]

    assert paths(first[1])[0].endswith(".py")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_file_that_is_named_is_there(row: list[str]) -> None:
    for cell in row[1:]:
        for path in paths(cell):
            place = ROOT / path
            folder = place.parent if path.endswith(PLACEHOLDER) else place
            inside = ROOT / paths(row[1])[0].rpartition("/")[0] / path
            assert folder.exists() or inside.exists(), path


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_name_that_is_given_stands_in_a_file_of_the_row(row: list[str]) -> None:
    files = [path for cell in row[1:] for path in paths(cell) if (ROOT / path).is_file()]
    named = [path for path in paths(row[1]) if path.endswith(".py")]
    folder = (ROOT / named[0]).parent
    beside = re.findall(r"`(\w+\.py)`", " ".join(row[1:]))
    text = "".join((ROOT / path).read_text() for path in files)
    text += "".join((folder / path).read_text() for path in beside if (folder / path).is_file())

    for name in re.findall(r"`(_?[A-Za-z]+(?:_[A-Za-z]+)+)`", " ".join(row[1:])):
        assert name in text, name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_every_file_that_stands_beside_another_is_there(row: list[str]) -> None:
    folder = (ROOT / paths(row[1])[0]).parent if paths(row[1]) else ROOT

    for name in re.findall(r"`(\w+\.py)`", " ".join(row[1:])):
        assert (folder / name).is_file(), name


def test_every_target_of_make_that_is_named_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    named = set(re.findall(r"`make (\w+)`", TEXT))

    assert named >= {"quick", "test"}
    assert [name for name in named if not re.search(rf"^{name}\b.*:", makefile, re.MULTILINE)] == []


def test_what_is_quick_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = makefile.partition("QUICK := ")[2].partition("\nquick:")[0]

    assert [path for path in listed.replace("\\", "").split() if not (ROOT / path).exists()] == []
