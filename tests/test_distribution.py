"""Wheel and sdist: the same bytes each time, one from the other; what is locked; install lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

import nptables
from scripts.install_lines import PAGES, SOURCE, with_source
from tests.support.documentation import ROOT, TUTORIAL
from tests.support.installing import built, copy_of_sources, environment_with, installed_from_url

pytest.importorskip("hatchling")


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


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("distribution")
    built(copy_of_sources(folder / "one", 0o644), folder / "out")
    return folder / "out"


@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_what_is_installed_alone_runs_with_what_it_declares_to_need(
    kind: str, packages: Path, tmp_path: Path
) -> None:
    (package,) = packages.glob(kind)
    programs = environment_with(package, tmp_path / "fresh")
    shutil.copy(TUTORIAL, tmp_path / "web.yaml")

    def run(*words: str, program: str = "nptables") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(programs / program), *words],
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )

    where = run("-c", "import nptables; print(nptables.__file__)", program="python").stdout
    assert Path(where).is_relative_to(tmp_path / "fresh")
    assert run("--version").stdout == f"nptables, version {nptables.__version__}\n"

    rendered = run("render", "web.yaml", "--node", "node1")
    assert rendered.returncode == 0
    # The chain of the tutorial's Service, as `kube-proxy` names it.
    assert "-A KUBE-NODEPORTS -p tcp -m comment --comment " in rendered.stdout
    asked = ("--node", "node2", "--from", "outside", "--to", "nodeport:30080")
    traced = run("trace", "web.yaml", *asked)
    assert (traced.returncode, traced.stdout.splitlines()[0][:8]) == (0, "arrives:")
    checked = run("check", "web.yaml")
    assert (checked.returncode, checked.stdout) == (0, "")

    # Files of other folders that are in the package.
    assert run("rule", "NPT102").stdout.startswith("NPT102 local-policy-gap (warning")
    inside = (tmp_path / "fresh").glob("lib/*/site-packages/nptables/sources")
    (sources,) = inside
    for name, origin in (
        ("fleet/collect-daemonset.yaml", "deploy/collect-daemonset.yaml"),
        ("fleet/snapshot.sh", "deploy/snapshot.sh"),
        ("checks.md", "docs/checks.md"),
    ):
        assert (sources / name).read_bytes() == (ROOT / origin).read_bytes()


def test_the_image_builds_the_wheel_from_what_it_copies(tmp_path: Path) -> None:
    """A file that the wheel needs and the image has not would show only when it is built."""
    stage = (ROOT / "deploy" / "Containerfile").read_text().split("\nFROM ")[1]
    for line in stage.splitlines():
        if line.startswith("COPY "):
            *names, folder = line.split()[1:]
            for name in names:
                _copy(ROOT / name, tmp_path / "src" / folder)

    found = built(tmp_path / "src", tmp_path / "out", "wheel")

    whole = built(copy_of_sources(tmp_path / "one"), tmp_path / "all", "wheel")
    assert found == whole


def _copy(source: Path, place: Path) -> None:
    """As COPY does it: the content of a folder, or a file, into a folder."""
    if source.is_dir():
        shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place / source.name)


def test_a_repository_is_installed_by_its_url(tmp_path: Path) -> None:
    """As docs/start.md says: with extras and a host, which pip before 24.1 asks for."""
    tree = copy_of_sources(tmp_path / "clone")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(tree)]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True)
    url = f"nptables[all] @ git+file://localhost{tree}"

    installed_from_url(url, tmp_path / "target")

    (found,) = metadata.distributions(name="nptables", path=[str(tmp_path / "target")])
    assert found.version == nptables.__version__
    assert (tmp_path / "target" / "nptables" / "sources" / "checks.md").is_file()


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
