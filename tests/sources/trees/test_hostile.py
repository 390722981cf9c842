"""Trees that are broken, hostile or huge: one clear word for each oddity, the rest is judged."""

from __future__ import annotations

import os
from contextlib import chdir
from pathlib import Path

import pytest

from nptables.cli import main
from nptables.sources import load, load_sets
from nptables.sources.trees.reading import LARGEST
from nptables.sources.trees.walking import walk
from tests.support.renderers import give
from tests.support.scenarios import FIXTURES

FOUND = FIXTURES / "manifests-as-found"
SERVICE = (FOUND / "one-file.yaml").read_text()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one Service that is right."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "web.yaml").write_text(SERVICE)
    return folder


def reasons(folder: Path) -> dict[str, str]:
    """What is said of each file that was passed over, and that the Service was read."""
    sets = load_sets(folder)
    (judged,) = sets.judged
    assert list(judged.cluster.services) == [("shop", "web")]
    return {os.path.relpath(one.path, folder): one.reason for one in sets.passed_over}


def test_links_that_lead_nowhere_or_round_in_circles(tree: Path) -> None:
    (tree / "gone.yaml").symlink_to("nothing")
    (tree / "round.yaml").symlink_to("round.yaml")
    (tree / "loop").symlink_to(".")
    (tree / "up").symlink_to("..")

    assert reasons(tree) == {
        "gone.yaml": "a broken link",
        "round.yaml": "a link that loops back to itself",
        "loop": "a link to a folder, which is not followed",
        "up": "a link to a folder, which is not followed",
    }


def test_a_link_to_a_file_is_read(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "api.yaml").write_text(SERVICE.replace("name: web,", "name: api,"))
    (tree / "api.yaml").symlink_to(tmp_path / "api.yaml")

    assert sorted(load(tree).cluster.services) == [("shop", "api"), ("shop", "web")]


def test_what_is_no_file_is_not_opened(tree: Path) -> None:
    os.mkfifo(tree / "pipe.yaml")

    assert reasons(tree) == {"pipe.yaml": "no regular file"}


def test_a_file_that_cannot_be_read_costs_itself_alone(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "secret.yaml").write_text(SERVICE)
    opened = os.open

    def refuse(path: str, *rest: int) -> int:
        if path.endswith("secret.yaml"):
            raise PermissionError(13, "Permission denied")
        return opened(path, *rest)

    monkeypatch.setattr(os, "open", refuse)

    assert reasons(tree) == {"secret.yaml": "cannot be read: permission denied"}


def test_a_file_of_two_hundred_megabytes_is_not_read(
    tree: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (tree / "dump.json").open("wb") as file:
        file.truncate(200_000_000)

    assert main(["check", str(tree)]) == 0

    assert (
        f"warning: {tree}/dump.json: has 200 MB, too large for a manifest: name it to read it "
        f"anyway" in capfd.readouterr().err.splitlines()
    )


def test_a_file_just_below_the_limit_is_read(tree: Path) -> None:
    with (tree / "foreign.json").open("wb") as file:
        file.truncate(LARGEST)

    assert list(reasons(tree)) == ["foreign.json"]
    assert "MB" not in reasons(tree)["foreign.json"]


def test_a_name_with_a_line_break_or_no_text_at_all_stays_on_one_line(
    tree: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    (tree / "a\nerror: b.yaml").write_text("x: y\n")
    Path(os.fsdecode(os.fsencode(tree) + b"/\xff.yaml")).write_text("x: y\n")

    assert main(["check", str(tree), "-v"]) == 0

    lines = capfdbinary.readouterr().err.decode().splitlines()
    assert sum("skipped: " in line for line in lines) == 2
    assert not any(line.startswith("error:") for line in lines)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x1f\x8b\x08\nkind: Service\n", "is compressed with gzip"),
        (b"kind: Service # \xe9\n", "is not UTF-8 text: byte 0xe9"),
        (b"kind: \0\n", "has a NUL character in it: this is not a text file"),
        (b"", "empty"),
        (b"# apiVersion: v1\n", "empty"),
    ],
)
def test_what_is_no_text_is_passed_over(tree: Path, data: bytes, reason: str) -> None:
    (tree / "odd.yaml").write_bytes(data)

    assert reasons(tree) == {"odd.yaml": reason}


def test_a_manifest_in_another_encoding_that_says_so_is_read(tree: Path) -> None:
    (tree / "api.yaml").write_text(SERVICE.replace("name: web,", "name: api,"), "utf-16")

    assert sorted(load(tree).cluster.services) == [("shop", "api"), ("shop", "web")]


def test_kustomizations_that_stand_on_each_other_are_said(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    give(monkeypatch)
    for one, other in (("a", "b"), ("b", "a")):
        (tree / one).mkdir()
        (tree / one / "kustomization.yaml").write_text(f"resources: [../{other}]\n")

    assert main(["check", str(tree)]) == 0

    assert f"{tree}/a is left out: " in capfd.readouterr().err


def test_a_deep_tree_is_read_without_recursion(tree: Path) -> None:
    with chdir(tree):
        for _ in range(300):
            Path("d").mkdir()
            os.chdir("d")

    assert len(walk(str(tree)).folders) == 301


def test_many_foreign_files_change_nothing_and_are_counted(tmp_path: Path) -> None:
    """What they cost is measured by benchmarks/trees.py."""
    rest = (FOUND / "selector-typo.yaml").read_text().replace("wbe", "web")
    for number in range(20):
        folder = tmp_path / f"team{number % 5}"
        folder.mkdir(exist_ok=True)
        named = rest.replace("name: web", f"name: web{number}")
        text = named.replace("app: web", f"app: w{number}")
        (folder / f"web{number}.yaml").write_text(text)
    (tmp_path / "foreign").mkdir()
    for number in range(2000):
        (tmp_path / "foreign" / f"{number}.{('json', 'md')[number % 2]}").write_text('{"a": "b"}')

    found = load_sets(tmp_path)

    (judged,) = found.judged
    assert len(judged.cluster.services) == 20
    assert len(found.passed_over) == 1000
