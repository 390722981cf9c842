"""The pure packages in Pythons that are WebAssembly, which have no process, thread or IPv6 socket."""

from __future__ import annotations

import subprocess

import pytest

from tests.node.thinning import spread
from tests.support.documentation import ROOT
from tests.support.requirements import requires

# Cases of each test, by version. What differs among versions is the language, and every test shows that.
CASES = {"3.14": 30, "3.13": 2, "3.12": 2}


@pytest.mark.parametrize("version", CASES)
def test_the_pure_packages_need_nothing_of_a_machine(version: str) -> None:
    """Nothing is skipped: `pure.txt` names what cannot be there (other clients, programs)."""
    requires("webassembly")
    # Deep recursion needs more of a stack than node has; files cannot be captured from.
    node = ["node", "--stack-size=4000", "tests/node/pure.mjs", version, ".venv-wasm"]
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.node.thinning", "--capture=sys"]
    done = subprocess.run(
        [*node, *options, "--cases", str(CASES[version]), "@tests/node/pure.txt"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout.splitlines()[-1]
    assert "skipped" not in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("how_many", "most", "kept"),
    [(3, 5, [0, 1, 2]), (5, 5, [0, 1, 2, 3, 4]), (10, 2, [0, 9]), (9, 3, [0, 4, 8]), (4, 1, [0])],
)
def test_cases_are_left_out_evenly(how_many: int, most: int, kept: list[int]) -> None:
    assert spread(list(range(how_many)), most) == kept
