"""The pure packages in Pythons that are WebAssembly, with no process, thread or IPv6 socket."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.documentation import ROOT
from tests.support.requirements import requires

# What differs in the older ones is the language, and few tests of each package show that.
TESTS = {"3.14": "all", "3.13": "few", "3.12": "few"}


@pytest.mark.long
@pytest.mark.parametrize("version", TESTS)
def test_the_pure_packages_need_nothing_of_a_machine(version: str) -> None:
    """Nothing is skipped: the lists name what cannot be there (other clients, programs)."""
    requires("webassembly")
    # Deep recursion needs more of a stack than node has; files cannot be captured from. What an
    # assertion compared is shown outside as well: to prepare for that takes a fifth of a first run.
    node = ["node", "--stack-size=4000", "tests/node/pure.mjs", version, ".venv-wasm"]
    options = ["-q", "-p", "no:cacheprovider", "--capture=sys"]
    options += ["--assert=plain"]
    done = subprocess.run(
        [*node, *options, f"@tests/node/{TESTS[version]}.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout.splitlines()[-1]
    assert "skipped" not in done.stdout.splitlines()[-1]
