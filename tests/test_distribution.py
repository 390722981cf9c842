"""Wheel and sdist: the same bytes each time, one from the other; what is locked; install lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import nptables
from scripts.install_lines import PAGES, SOURCE, with_source
from tests.support.documentation import ROOT

pytest.importorskip("hatchling")
SOURCES = (
    "nptables",
    "deploy/collect-daemonset.yaml",
    "deploy/snapshot.sh",
    "docs/checks.md",
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    ".gitignore",
)


def built(tree: Path, out: Path) -> dict[str, bytes]:
    """Build both in a tree, and return the files by name."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), "-t", "sdist", "-t", "wheel"],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {path.name: path.read_bytes() for path in out.iterdir()}


def copy_of_sources(folder: Path, mode: int) -> Path:
    """A checkout with files of another time and mode."""
    folder.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            (folder / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for path in folder.rglob("*"):
        os.utime(path, (mode, mode))
        if path.is_file():
            path.chmod(mode)
    return folder


def test_what_is_built_twice_is_the_same_and_the_sdist_builds_the_wheel(tmp_path: Path) -> None:
    first = built(copy_of_sources(tmp_path / "one", 0o644), tmp_path / "out1")
    second = built(copy_of_sources(tmp_path / "two", 0o600), tmp_path / "out2")

    version = nptables.__version__
    assert set(first) == {f"nptables-{version}.tar.gz", f"nptables-{version}-py3-none-any.whl"}
    assert first == second

    with tarfile.open(tmp_path / "out1" / f"nptables-{version}.tar.gz") as archive:
        archive.extractall(tmp_path / "three", filter="data")
    third = built(tmp_path / "three" / f"nptables-{version}", tmp_path / "out3")
    assert third == first


def test_a_wheel_alone_makes_the_command(tmp_path: Path) -> None:
    built(copy_of_sources(tmp_path / "one", 0o644), tmp_path / "out")
    (wheel,) = (tmp_path / "out").glob("*.whl")
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", str(target), str(wheel)], check=True, timeout=120)

    done = subprocess.run(
        [str(target / "bin" / "nptables"), "--version"],
        env={**os.environ, "PYTHONPATH": str(target)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == f"nptables, version {nptables.__version__}\n"
    for name in ("collect-daemonset.yaml", "snapshot.sh"):
        inside = target / "nptables" / "sources" / "fleet" / name
        assert inside.read_bytes() == (ROOT / "deploy" / name).read_bytes()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_install_line_has_the_one_source(page: Path) -> None:
    text = page.read_text()

    assert with_source(text) == text
    if SOURCE == ".":
        assert "install nptables" not in text


def test_the_source_is_one_variable() -> None:
    lines = "pip install .\npipx install .\n`uv tool install '.[all]'`\npip install -r x.txt\n"

    assert with_source(lines, "nptables") == (
        "pip install nptables\npipx install nptables\n`uv tool install 'nptables[all]'`\n"
        "pip install -r x.txt\n"
    )
    assert with_source(with_source(lines, "nptables"), ".") == lines


@pytest.mark.parametrize(
    "lock", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda p: p.stem
)
def test_a_lock_has_hashes_and_names_no_index(lock: Path) -> None:
    text = lock.read_text()

    assert "://" not in text
    assert not any(line.startswith("-") for line in text.splitlines())
    pinned = [line for line in text.splitlines() if line[:1].isalnum()]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)


@pytest.mark.parametrize("folder", ["mermaid", "node"])
def test_the_lock_of_node_has_hashes_and_names_no_index(folder: str) -> None:
    text = (ROOT / "tests" / folder / "package-lock.json").read_text()

    assert "://" not in text
    assert text.count('"integrity"') == text.count('"node_modules/')
