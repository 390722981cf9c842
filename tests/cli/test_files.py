"""Files that a command writes: whole, for their owner alone, or not at all."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from nptables.cli.commands import snapshot as command
from nptables.cli.files import FileLost, written
from nptables.errors import InvalidInput
from nptables.evidence import Evidence, Form, Gap
from nptables.evidence.snapshot import Snapshot, TableText
from nptables.family import Family

if TYPE_CHECKING:
    from collections.abc import Callable

NOTHING = Snapshot((), Evidence(Form.SNAPSHOT, gaps=(Gap("ipset", "it takes root"),)))
SOME = Snapshot((TableText("nft", Family.IPV4, ""),), NOTHING.rest)


@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
def test_a_file_is_there_once_it_is_whole_and_for_its_owner_alone(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text("old")
    with written(str(path)) as write:
        write("one\n")
        write("two \u00e4\n")
        assert path.read_text() == "old"

    data = path.read_bytes()
    assert (gzip.decompress(data) if name.endswith("gz") else data) == "one\ntwo \u00e4\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_link_stays_and_the_file_that_it_names_is_written(tmp_path: Path) -> None:
    link, path = tmp_path / "link", tmp_path / "file"
    path.write_text("old")
    link.symlink_to(path)
    with written(str(link)) as write:
        write("new")

    assert link.is_symlink()
    assert path.read_text() == "new"


@pytest.mark.parametrize("name", ["out.json", "out.json.gz"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_one_that_is_interrupted_leaves_what_was_there(
    tmp_path: Path, name: str, error: type[BaseException]
) -> None:
    path = tmp_path / name
    path.write_text("old")

    def write_some() -> None:
        with written(str(path)) as write:
            write("one\n" * 1_000_000)
            raise error

    with pytest.raises(error):
        write_some()

    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("name", ["full", "full.gz"])
def test_a_full_disk_is_an_error_in_words(tmp_path: Path, size: int, name: str) -> None:
    """/dev/full takes nothing, at once for much and at the end for little."""
    path = tmp_path / name
    path.symlink_to("/dev/full")
    with pytest.raises(FileLost, match=f"{name}: no space left on device"), written(str(path)) as w:
        w(os.urandom(size // 2).hex())

    assert path.is_symlink()


def test_a_place_that_takes_no_file_is_known_before_anything_is_looked_at(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidInput, match="cannot be written: no such file or directory"):
        written(str(tmp_path / "none" / "out.json")).__enter__()
    with pytest.raises(InvalidInput, match="cannot be written: is a directory"):
        written(str(tmp_path)).__enter__()


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Callable[[Snapshot], None]:
    """A node of which one takes this snapshot."""

    def put(found: Snapshot) -> None:
        def look_around(**_: object) -> Snapshot:
            return found

        monkeypatch.setattr(command, "look_around", look_around)

    return put


def test_a_snapshot_says_its_gaps_and_ends_well(
    node: Callable[[Snapshot], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node(SOME)

    assert main(["snapshot", "-o", str(tmp_path / "n.json")]) == 0
    assert capfd.readouterr() == ("", "warning: ipset: it takes root\n")
    assert (tmp_path / "n.json").read_text().startswith('{\n "kind": "NptablesSnapshot"')


def test_where_nothing_at_all_can_be_read_the_kernel_has_refused(
    node: Callable[[Snapshot], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    node(NOTHING)

    assert main(["snapshot", "-o", str(tmp_path / "n.json")]) == 3
    assert "error: nothing of this node could be read" in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/dev/full", 3, "error: /dev/full: no space left on device"),
        ("/nowhere/n.json", 2, "error: /nowhere/n.json: cannot be written: no such file"),
    ],
)
def test_a_file_that_cannot_be_written_is_an_exit_code(
    node: Callable[[Snapshot], None],
    capfd: pytest.CaptureFixture[str],
    path: str,
    code: int,
    words: str,
) -> None:
    node(SOME)

    assert main(["snapshot", "-o", path]) == code
    assert words in capfd.readouterr().err
