"""A change that is tried in a loaded process is really made there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.mutants.changes import ROOT

TEST = "tests/translation/test_chains.py::test_of_any_number_of_texts_each_has_its_own_name"
# The first is of a function that the test calls, the second of one that it does not.
CHANGES = (
    "nptables/translation/chains.py endpoint_chains: bits | around -> bits & around",
    "nptables/translation/chains.py ServicePortName.hash: 0 -> 1",
)
TRYING = """
import json, sys
import pytest
from tests.mutants.changes import mutants
from tests.mutants.forking import OPTIONS, Loaded

test, out, *changes = sys.argv[1:]

def work(loaded):
    known = {str(mutant): mutant for mutant in mutants({change.split()[0] for change in changes})}
    found = [loaded.noticing(known[change], [test], seconds=30) for change in changes]
    with open(out, "w") as file:
        json.dump(found, file)

pytest.main([*OPTIONS, test], plugins=[Loaded(work)])
"""


def test_a_change_of_what_a_test_calls_is_noticed_and_of_nothing_else(tmp_path: Path) -> None:
    """In a process of its own, with what conftest.py does to a session."""
    out = tmp_path / "found.json"
    words = [sys.executable, "-c", TRYING, TEST, str(out), *CHANGES]
    subprocess.run(words, check=True, cwd=ROOT, capture_output=True, timeout=120)

    noticing = json.loads(out.read_text())
    assert noticing == [TEST, None]
