"""Archives of every packing, one in another, and what is refused or passed over in them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tarfile
import zipfile
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

from nptables.sources.archives import Budget, Damaged, Limits, Refused, archive_members, is_archive
from tests.support.bundles import PACKINGS, as_folder, as_tar, as_zip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

zstd = import_module("backports.zstd" if sys.version_info < (3, 14) else "compression.zstd")
FILES = {"a/one.txt": b"1\n" * 700, "a/b/two.txt": b"", "a/b/" + "n" * 150 + ".txt": b"three"}
MIB = 2**20


def names(path: Path, **limits: int) -> dict[str, bytes]:
    budget = Budget(str(path), limits=Limits(**limits))
    members = archive_members(str(path), lambda name: name.endswith(".txt"), budget)
    return {member.name: member.read() for member in members}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("packing", [*PACKINGS, "tar.zst"])
def test_the_members_of_every_archive_are_read(packing: str, tmp_path: Path) -> None:
    """Whatever the file is called."""
    pack = PACKINGS.get(packing, lambda files: zstd.compress(as_tar(files)))
    archive = written(tmp_path / "unnamed", pack(FILES))

    assert is_archive(str(archive))
    assert names(archive) == FILES


def test_a_folder_is_read_like_an_archive(tmp_path: Path) -> None:
    """Links in it are not followed, wherever they lead."""
    folder = as_folder(FILES, tmp_path / "folder")
    (tmp_path / "secret.txt").write_text("outside")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)

    assert names(folder) == FILES


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_are_read_in_every_format_of_tar(form: int, tmp_path: Path) -> None:
    """Ustar splits a name, GNU and pax have a header of its own for it."""
    name = "d" * 60 + "/" + "e" * 60 + "/" + "f" * 30 + ".txt"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        info = tarfile.TarInfo(name)
        info.size, info.mtime = 3, 1_700_000_000
        archive.addfile(info, io.BytesIO(b"abc"))

    assert {name: b"abc"} == names(written(tmp_path / "x", buffer.getvalue()))


def test_archives_in_archives_are_followed(tmp_path: Path) -> None:
    """As `sos collect` puts the reports of several hosts into one."""
    inner = {f"host-{kind}.{kind}": pack(FILES) for kind, pack in PACKINGS.items()}
    outer = written(tmp_path / "x", gzip.compress(as_tar({**inner, "own.txt": b"own"})))

    expected = {f"{archive}/{name}": data for archive in inner for name, data in FILES.items()}
    assert {**expected, "own.txt": b"own"} == names(outer)


def test_a_compressed_file_that_is_no_archive_is_none(tmp_path: Path) -> None:
    """Neither by itself nor within an archive."""
    log = gzip.compress(b"*nat\nCOMMIT\n")

    assert not is_archive(str(written(tmp_path / "dump.gz", log)))
    assert names(written(tmp_path / "x", as_tar({"var/log/messages.gz": log}))) == {}


def unsafe() -> bytes:
    """An archive with everything in it that leads out of it, or is no file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name in ("/etc/passwd.txt", "../up.txt", "a/../../up.txt"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"bad"))
        for kind in (
            tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE
        ):  # fmt: skip
            info = tarfile.TarInfo(f"special-{kind!r}.txt")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        info = tarfile.TarInfo("fine.txt")
        info.size = 4
        archive.addfile(info, io.BytesIO(b"fine"))
    return buffer.getvalue()


def test_what_leads_out_of_an_archive_is_passed_over(tmp_path: Path) -> None:
    """Links, devices, absolute and climbing names: they are counted, and nothing is lost."""
    path = written(tmp_path / "x", unsafe())
    budget = Budget("x")

    members = list(archive_members(str(path), lambda _: True, budget))

    assert [member.name for member in members] == ["fine.txt"]
    assert dict(budget.skipped) == {
        "devices": 2, "files whose paths lead outside it": 3, "links": 2, "pipes": 1,
    }  # fmt: skip


def test_a_sparse_file_is_passed_over(tmp_path: Path) -> None:
    """GNU tar's `--sparse`: 1 TiB of nothing in a kilobyte; what follows it is read."""
    with (tmp_path / "sparse.txt").open("wb") as handle:
        handle.truncate(1 << 40)
        handle.seek(1 << 30)
        handle.write(b"x")
    (tmp_path / "z.txt").write_text("fine")
    path = tmp_path / "x.tar"
    assert os.system(f"tar -C {tmp_path} -Scf {path} sparse.txt z.txt") == 0

    assert names(path) == {"z.txt": b"fine"}


def test_links_in_a_zip_archive_are_passed_over(tmp_path: Path) -> None:
    """Zip keeps a link as a file with the target as its contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = 0o120777 << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("../up.txt", "bad")
        archive.writestr("fine.txt", "fine")

    assert names(written(tmp_path / "x", buffer.getvalue())) == {"fine.txt": b"fine"}


BOMBS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lambda data: lzma.compress(data, preset=0),
    "bzip2": bz2.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("packing", BOMBS)
def test_a_bomb_is_refused_after_a_bounded_time(packing: str, tmp_path: Path) -> None:
    """What unpacks to hundreds of times its size is no log: 8 MiB of zeros, as one member."""
    bomb = written(tmp_path / "x", BOMBS[packing](as_tar({"zeros": bytes(8 * MIB)})))

    with pytest.raises(Refused, match="unpacks to more than 100 times its size"):
        names(bomb, free=MIB, ratio=100)
    with pytest.raises(Refused, match="unpacks to more than 0 GiB"):
        names(bomb, unpacked=MIB)


def test_every_limit_has_a_sentence(tmp_path: Path) -> None:
    """On members, on the size of one and of all that is needed, on archives in one another."""
    path = written(tmp_path / "x", as_tar(FILES))

    with pytest.raises(Refused, match="has more than 2 members"):
        names(path, members=2)
    with pytest.raises(Refused, match=r"a/one\.txt in it has more than 1 MiB"):
        names(written(tmp_path / "y", as_tar({"a/one.txt": bytes(MIB + 1)})), member=MIB)
    with pytest.raises(Refused, match="has more than 0 MiB of rules, facts and objects"):
        names(path, kept=1000)
    nested = as_tar({"i.tar": as_tar({"j.tar": as_tar({"k.tar": as_tar(FILES)})})})
    assert names(written(tmp_path / "z", nested), nesting=2) == {}
    assert len(FILES) == len(names(written(tmp_path / "z", nested), nesting=3))


def test_a_member_of_a_zip_archive_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    """The directory says that it has ten bytes."""
    data = bytearray(as_zip({"a.txt": bytes(2 * MIB)}))
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (10).to_bytes(4, "little")

    with pytest.raises((Refused, Damaged)):
        names(written(tmp_path / "x", bytes(data)), member=MIB)


def test_ten_thousand_members_are_counted_and_not_kept(tmp_path: Path) -> None:
    """Only those that are wanted are given."""
    files = {f"var/log/{number}": b"x" for number in range(10_000)}
    path = written(tmp_path / "x", as_tar({**files, "wanted.txt": b"yes"}))

    assert names(path) == {"wanted.txt": b"yes"}


@pytest.mark.parametrize("packing", PACKINGS)
def test_an_archive_that_is_cut_off_says_so(packing: str, tmp_path: Path) -> None:
    """At every length; what was whole before that was given."""
    whole = PACKINGS[packing]({**FILES, "b/last.txt": bytes(range(256)) * 40})
    for length in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path = written(tmp_path / "x", whole[:length])
        found: dict[str, bytes] = {}
        budget = Budget("x")
        damaged = False
        try:
            for member in archive_members(str(path), lambda _: True, budget):
                found[member.name] = member.read()
        except Damaged:
            damaged = True
        assert found.items() <= {**FILES, "b/last.txt": bytes(range(256)) * 40}.items()
        # The last blocks of a tar archive are only there to fill it up.
        assert damaged or len(found) == len(FILES) + 1 or not length, length


def test_zstd_without_its_module_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the extra that brings it."""
    path = written(tmp_path / "x", zstd.compress(as_tar(FILES)))
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)

    with pytest.raises(
        Refused, match=r"zstd, which this Python cannot read, .*nptables\[bundles\]"
    ):
        names(path)


def test_progress_is_told_by_the_bytes_that_were_read(tmp_path: Path) -> None:
    """Of the packed file: its unpacked size is unknown before."""
    path = written(tmp_path / "x", gzip.compress(as_tar({"a": os.urandom(20 * MIB)}), 1))
    told: list[tuple[str, int, int]] = []
    budget = Budget("x", progress=lambda *now: told.append(now))

    list(archive_members(str(path), lambda _: False, budget))

    assert len(told) == 2
    assert all(total == path.stat().st_size for _, _, total in told)
    assert sorted(told) == told
