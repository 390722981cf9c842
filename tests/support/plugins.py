"""Exec plugins for kubeconfigs, which tests tell what to give."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "client.authentication.k8s.io/v1"
# A second that is long over, and one that will not come.
PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"


@dataclass
class ExecPlugin:
    """A program that a kubeconfig names, in a folder of its own, and how often it ran."""

    folder: Path

    @property
    def program(self) -> Path:
        return self.folder / "plugin"

    @property
    def runs(self) -> int:
        path = self.folder / "runs"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def does(self, script: str) -> None:
        """Let it be a shell script."""
        new = self.folder / "new"
        new.write_text(f'#!/bin/sh\necho run >>"{self.folder}/runs"\n{script}\n')
        new.chmod(0o700)
        # In one step, for it may be started at any moment.
        new.rename(self.program)

    def gives(self, **status: Any) -> None:
        """Let it give these credentials."""
        document = {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}
        self.does(f"cat <<'END'\n{json.dumps(document)}\nEND")

    def kubeconfig(self, path: Path, *, server: str, authority: str, **more: Any) -> Path:
        """Write a kubeconfig with it; `more` goes into its `exec`."""
        plugin = {
            "command": str(self.program),
            "apiVersion": VERSION,
            "interactiveMode": "Never",
            **more,
        }
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [
                {"name": "test", "cluster": {"server": server, "certificate-authority": authority}}
            ],
            "users": [{"name": "test", "user": {"exec": plugin}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(document))
        return path
