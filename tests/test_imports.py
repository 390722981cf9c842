"""A dry run needs neither libiptc nor a cluster, and the public names are what they seem."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

import nptables
from benchmarks.workload import cluster_ip, objects
from tests.support.documentation import ROOT
from tests.support.scenarios import FIXTURES

HEAVY = {"iptc", "kubernetes", "prometheus_client", "pyroute2"}
FUNCTIONS = ["translate", "audit"]
IMPURE = {"agent", "cli", "kernel", "reporting", "sources", "testing"}
RENDER = ["render", str(FIXTURES / "tutorial" / "two-nodes.yaml"), "--node", "node1"]
# What a command does without where it is given the objects of a cluster, all of which were applied.
UNUSED = {
    "ipaddress", "select", "signal", "tomllib", "zlib", "nptables.iptables.dumps",
    "nptables.model.clientmodels", "nptables.model.pod", "nptables.model.unread",
    "nptables.model.workloads", "nptables.signals", "nptables.sources.allocation",
    "nptables.sources.previews", "nptables.sources.text.redaction",
    "nptables.translation.backing.certainty", "nptables.translation.explanation.disagreement",
}  # fmt: skip
NODE_ONE = ["--node", "node1", "cluster.json"]
# Each command, what else it does without, and how many modules of nptables it imports at most.
SHORT = [
    (
        ["render"],
        {"pathlib", "textwrap", "nptables.iptables.rule", "nptables.iptables.remarks",
         "nptables.rendering.explaining", "nptables.sources.kubeproxy",
         "nptables.translation.explanation.decision"},
        100,
    ),
    (
        ["trace", "--from", "10.0.0.1", "--to", f"{cluster_ip(1)}:80"],
        {"nptables.evidence.node", "nptables.evidence.signs", "nptables.translation.flows"},
        155,
    ),
]  # fmt: skip


def run_and_list_modules(statements: str, folder: Path = ROOT) -> tuple[str, set[str]]:
    """Return what an interpreter of its own prints in a folder, and the modules it has loaded."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{report}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    modules = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, set(modules)


def test_importing_the_library_loads_no_extra() -> None:
    _, loaded = run_and_list_modules("import nptables")

    assert "nptables" in loaded
    assert not loaded & HEAVY


def test_rendering_loads_no_extra() -> None:
    output, loaded = run_and_list_modules(
        "import contextlib, sys, nptables.cli\n"
        f"sys.argv = ['nptables', *{RENDER!r}]\n"
        "with contextlib.suppress(SystemExit):\n"
        "    nptables.cli.main()"
    )

    assert "--dport 30080 -j KUBE-EXT-" in output
    assert not loaded & HEAVY


def test_rendering_does_without_what_takes_long_to_import() -> None:
    """Half of what a short command takes is the import of modules."""
    _, loaded = run_and_list_modules(
        f"import nptables.cli\nassert nptables.cli.main({RENDER!r}) == 0"
    )

    assert "nptables" in loaded
    assert not loaded & {"pathlib", "textwrap"}


@pytest.mark.parametrize(("command", "unused", "most"), SHORT)
def test_a_command_imports_little_for_the_objects_of_a_cluster(
    tmp_path: Path, command: list[str], unused: set[str], most: int
) -> None:
    """Most of what a short command takes is to import modules, and to make the classes in them."""
    items = {"apiVersion": "v1", "kind": "List", "items": objects(2, 2)}
    (tmp_path / "cluster.json").write_text(json.dumps(items))
    # It has nothing to set, so that there is no TOML to be read.
    (tmp_path / "pyproject.toml").write_text("[project]\ndependencies = ['nptables']\n")

    _, loaded = run_and_list_modules(
        f"import nptables.cli\nassert nptables.cli.main({[*command, *NODE_ONE]!r}) == 0",
        tmp_path,
    )

    own = {module for module in loaded if module.split(".")[0] == "nptables"}
    assert f"nptables.cli.commands.{command[0]}" in own
    assert set() == loaded & (UNUSED | unused)
    assert len(own) <= most


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_public_function_stays_a_function_when_every_package_is_loaded(name: str) -> None:
    # A package of the same name would take the function's place as soon as something imports it.
    for package in pkgutil.walk_packages(nptables.__path__, "nptables."):
        if package.name.split(".")[1] not in {"__main__", "kernel"}:
            importlib.import_module(package.name)

    assert inspect.isfunction(getattr(nptables, name))
    assert name in nptables.__all__


def test_every_public_name_is_there() -> None:
    assert all(hasattr(nptables, name) for name in nptables.__all__)


def test_the_pure_packages_import_no_third_party_package_but_attrs() -> None:
    graph = grimp.build_graph("nptables", include_external_packages=True, cache_dir=None)
    pure = {
        module
        for module in graph.modules
        if module.startswith("nptables.") and module.split(".")[1] not in {*IMPURE, "__main__"}
    }

    third_party = {
        imported
        for module in pure
        for imported in graph.find_modules_directly_imported_by(module)
        if imported.split(".")[0] not in sys.stdlib_module_names | {"nptables"}
    }

    assert len(pure) > 10
    assert third_party <= {"attr", "attrs"}


def test_the_text_of_the_package_says_what_every_public_name_is_for() -> None:
    """It is what `help(nptables)` begins with, so it has to fit on one screen."""
    text = nptables.__doc__ or ""

    assert [name for name in nptables.__all__ if not re.search(rf"`{name}[`.]", text)] == []
    assert len(text.splitlines()) < 30
