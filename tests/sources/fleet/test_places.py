"""Folders of snapshots by URLs that fsspec knows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import fsspec
import pytest

from nptables.cli import main
from nptables.sources.fleet.locations import Remote, place_of
from tests.support.fleets import Fleet, written

FLEET = Fleet(nodes=4, services=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet")
    made = written(path, FLEET, {2: "masqueradeAll"})
    made.write_manifest({"nodes": {f"node{n}": {"state": "read"} for n in range(4)}})
    return path


@pytest.fixture
def in_memory(folder: Path) -> str:
    """The same folder in fsspec's file system in memory, which has no paths of this machine."""
    system = fsspec.filesystem("memory")
    system.put(str(folder), "/bucket/fleet", recursive=True)
    return "memory://bucket/fleet"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_folder_by_a_url_is_judged_as_one_by_its_path(
    workers: str, folder: Path, in_memory: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, also by worker processes, and also without the objects in it."""
    command = ["audit", "--workers", workers, "-o", "json", "--snapshots"]
    found = [
        (main([*command, place]), capfd.readouterr().out)
        for place in (str(folder), folder.as_uri(), in_memory, f"{in_memory}/")
    ]
    assert found == [found[0]] * 4
    assert [node["verdict"] for node in json.loads(found[0][1])["nodes"]] == [
        "ok", "ok", "differs", "ok",
    ]  # fmt: skip


def test_files_named_after_nodes_may_be_behind_a_url(
    in_memory: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    objects = tmp_path / "cluster.json"
    objects.write_text(json.dumps({"kind": "List", "apiVersion": "v1", "items": FLEET.objects}))
    command = ["audit", str(objects), "--lenient", "--workers", "1"]
    assert main([*command, "--snapshots", f"{in_memory}/nodes"]) == 1
    assert "3 of 4 nodes do what the cluster says; 1 differ" in capfd.readouterr().out


@pytest.mark.usefixtures("in_memory")
@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://bucket/fleet", "error: s3://bucket/fleet: cannot be read: Install s3fs to"),
        ("gopher://old/fleet", "error: gopher://old/fleet: cannot be read: Protocol not known"),
        ("memory://nothing/here", "error: memory://nothing/here: there is no such folder"),
        ("memory://bucket/fleet/manifest.json", "manifest.json: holds no objects of a cluster"),
        ("/nowhere/at/all", "error: /nowhere/at/all: there is no such folder"),
    ],
)
def test_what_is_not_there_or_needs_a_package_is_one_sentence(
    url: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """No traceback, whatever a driver raises; s3fs is not installed where the tests run."""
    assert main(["audit", "--snapshots", url]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert len(err.splitlines()) == 1


def test_without_fsspec_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert main(["audit", "--snapshots", "s3://bucket/fleet"]) == 3
    assert capfd.readouterr().err == (
        "error: the package fsspec is needed to read from a URL: install nptables[fleet]\n"
    )


def test_a_password_in_a_url_is_printed_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    place = place_of("ftp://user:hunter2@127.0.0.1:1/fleet")
    assert isinstance(place, Remote)
    assert str(place / "node1.json.gz") == "ftp://127.0.0.1:1/fleet/node1.json.gz"
    assert "hunter2" not in repr(place)
    assert main(["audit", "--snapshots", place.url]) == 2
    assert "hunter2" not in capfd.readouterr().err


def test_what_has_no_protocol_is_a_path() -> None:
    assert place_of("a:b/c") == Path("a:b/c")
    assert place_of("./s3:/x") == Path("./s3:/x")
