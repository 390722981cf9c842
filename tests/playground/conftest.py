"""What is asked here is asked of files alone: there is no kubeconfig, and no Pod around us."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command read the cluster of the person who runs the tests."""
    monkeypatch.setenv("HOME", "/nowhere")
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
