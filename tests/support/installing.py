"""Checkouts of the sources, what is built of them, and environments that have it, all offline."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

from tests.support.documentation import ROOT

# What a build needs, and the files at the root that other repositories use.
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
# Build and install with what is here: no index is asked, and no environment made for the build.
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
_NAME = re.compile(r"[A-Za-z0-9._-]+")


def copy_of_sources(folder: Path, mode: int = 0o644, also: tuple[str, ...] = ()) -> Path:
    """A checkout with files of another time and mode; `also` are more files, with their own."""
    folder.mkdir()
    for name in (*SOURCES, *also):
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    kept = {folder / name for name in also}
    for path in folder.rglob("*"):
        os.utime(path, (mode, mode))
        if path.is_file() and path not in kept:
            path.chmod(mode)
    return folder


def built(tree: Path, out: Path, *kinds: str) -> dict[str, bytes]:
    """Build the sdist and the wheel in a tree, or those kinds, and return the files by name."""
    targets = [word for kind in kinds or ("sdist", "wheel") for word in ("-t", kind)]
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(out), *targets],
        cwd=tree,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1767225600"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {path.name: path.read_bytes() for path in out.iterdir()}


def environment_with(package: Path, folder: Path) -> Path:
    """A fresh environment with a wheel or sdist, and with what that declares to need, no more.

    Returns its folder of programs.
    """
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = folder / "lib" / version / "site-packages"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    environment = {**os.environ, **OFFLINE, "PYTHONPATH": ""}
    if package.suffix != ".whl":
        # What builds it is beside it only as long as it is built.
        environment["PYTHONPATH"] = str(Path(metadata.distribution("hatchling").locate_file("")))
    subprocess.run([*pip, str(package)], env=environment, check=True, timeout=120)
    for name in _needed(metadata.Distribution.at(next(packages.glob("nptables-*.dist-info")))):
        _link(metadata.distribution(name), packages)
    return folder / "bin"


def installed_from_url(requirement: str, folder: Path) -> None:
    """Install what a URL has, alone, into a folder."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), requirement],
        env={**os.environ, **OFFLINE, "PYTHONPATH": ""},
        check=True,
        timeout=120,
    )


def _needed(distribution: metadata.Distribution) -> list[str]:
    """The names of the packages that one needs without any extra, and those that these need."""
    found: list[str] = []
    for requirement in distribution.requires or ():
        if ";" in requirement:
            continue
        name = _NAME.match(requirement)
        assert name is not None
        found += [name[0], *_needed(metadata.distribution(name[0]))]
    return list(dict.fromkeys(found))


def _link(distribution: metadata.Distribution, packages: Path) -> None:
    """Make an installed package one of another environment."""
    tops = {Path(file).parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}
    for top in tops:
        if not (packages / top).exists():
            (packages / top).symlink_to(Path(distribution.locate_file(top)))
