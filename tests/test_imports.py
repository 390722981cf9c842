"""A dry run needs neither libiptc nor a cluster, and the public names are what they seem."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys

import grimp
import pytest

import nptables
from tests.support.scenarios import FIXTURES

HEAVY = {"iptc", "kubernetes", "prometheus_client", "pyroute2"}
FUNCTIONS = ["translate", "audit"]
IMPURE = {"agent", "cli", "kernel", "reporting", "sources", "testing"}
RENDER = ["render", str(FIXTURES / "tutorial" / "two-nodes.yaml"), "--node", "node1"]


def run_and_list_modules(statements: str) -> tuple[str, set[str]]:
    """Return what an interpreter of its own prints, and the top-level modules it has loaded."""
    report = "import json, sys; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{statements}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
    )
    modules = json.loads(done.stderr.splitlines()[-1])
    return done.stdout, {module.split(".")[0] for module in modules}


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
