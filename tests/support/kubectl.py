"""The real kubectl with nptables as its plugin, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.documentation import ROOT
from tests.support.renderers import path_of
from tests.support.requirements import requires

if TYPE_CHECKING:
    from collections.abc import Mapping

# As pip makes them of [project.scripts] in pyproject.toml.
SCRIPTS = {
    "nptables": "main",
    "kubectl-nptables": "kubectl",
    "kubectl_complete-nptables": "kubectl_complete",
}


def install(folder: Path) -> Path:
    """Make the console scripts of nptables in a folder."""
    for name, function in SCRIPTS.items():
        path = folder / name
        path.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
            f"from nptables.cli import {function}\nsys.exit({function}())\n"
        )
        path.chmod(0o755)
    return folder


@dataclass(frozen=True)
class Kubectl:
    """`kubectl` with this environment; `folder` is the first on its PATH."""

    program: str
    folder: Path
    environment: Mapping[str, str]

    @classmethod
    def with_plugin(cls, folder: Path, kubeconfig: Path) -> Kubectl:
        """Kubectl as it is on the machine, with the scripts of nptables on its PATH."""
        found = path_of("kubectl")
        if found is None:
            requires("kubectl")
        path = f"{install(folder)}:{Path(found or '').parent}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "KUBECONFIG": str(kubeconfig)}
        return cls(found or "", folder, environment)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it with these arguments, and nothing on standard input."""
        return subprocess.run(
            [self.program, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            timeout=60,
        )
