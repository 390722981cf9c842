"""A plugin that writes how long each test took, for scripts/mutants.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_TIMES: dict[str, float] = {}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that passed."""
    if report.when == "call" and report.passed:
        _TIMES[report.nodeid] = report.duration


def pytest_sessionfinish() -> None:
    """Write what was noted."""
    Path(os.environ["NPTABLES_TIMES"]).write_text(json.dumps(_TIMES))
