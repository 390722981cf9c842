"""A command without a cluster does not read that of the person who runs the tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be no kubeconfig, and no Pod around us."""
    monkeypatch.setenv("HOME", "/nowhere")
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
