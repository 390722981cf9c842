"""Decides whether a test that needs more than Python can run here."""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

REQUIRED = os.environ.get("NPTABLES_REQUIRE_KERNEL") == "1"


def requires(*needs: str) -> None:
    """Skip the running test unless everything it needs is there.

    A need is one of the features below or the name of a program. Where the kernel tests are
    required (NPTABLES_REQUIRE_KERNEL=1) the test fails instead, so that nothing goes unproven.
    """
    lacking = dict.fromkeys(reason for need in needs if (reason := _reason_against(need)))
    if not lacking:
        return
    message = "lacks " + "; ".join(lacking)
    if REQUIRED:
        pytest.fail(message, pytrace=False)
    pytest.skip(message)


@functools.cache
def _reason_against(need: str) -> str | None:
    if probe := _FEATURES.get(need):
        return probe()
    return None if shutil.which(need) else f"the program {need}"


def _root() -> str | None:
    return None if os.geteuid() == 0 else "root"


def _network_namespaces() -> str | None:
    return _refusal(["true"], "network namespaces")


def _backend(backend: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        for program in ("iptables", "ip6tables"):
            for table in ("nat", "filter"):
                argv = [f"{program}-{backend}", "-w", "-t", table, "-S"]
                if reason := _refusal(argv, f"the {table} table of {argv[0]}"):
                    return reason
        return None

    return probe


def _nfacct() -> str | None:
    return _refusal(["nfacct", "add", "nptables_probe"], "nfacct objects")


def _python_iptables() -> str | None:
    found = importlib.util.find_spec("iptc")
    return None if found else "python-iptables"


BROWSERS = {
    "chromium": ("chromium", "google-chrome"),
    "firefox": ("firefox-esr", "firefox"),
}


def _browser(kind: str) -> Callable[[], str | None]:
    def probe() -> str | None:
        if browser(kind) is None:
            return f"the program {BROWSERS[kind][0]}"
        for module in ("playwright", "axe_playwright_python"):
            if importlib.util.find_spec(module) is None:
                return f"the Python package {module}"
        return None

    return probe


def browser(kind: str) -> str | None:
    """The program of a browser, or None."""
    return next(filter(None, map(shutil.which, BROWSERS[kind])), None)


def mermaid() -> Path | None:
    """Mermaid's own parser, as scripts/prepare installs it."""
    root = Path(__file__).parents[1]
    found = root / "mermaid" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
    return found if found.exists() else None


def _mermaid() -> str | None:
    return None if mermaid() else "Mermaid's parser (scripts/prepare installs it with npm)"


def _webassembly() -> str | None:
    if not shutil.which("node"):
        return "the program node"
    found = Path(__file__).parents[2] / ".venv-wasm" / ".installed"
    return None if found.exists() else "Pyodide (scripts/prepare installs it with npm)"


def _playground() -> str | None:
    if reason := _webassembly():
        return reason
    found = Path(__file__).parents[2] / "playground" / "node_modules" / "pyodide"
    return None if found.exists() else "what the playground is built of (scripts/prepare)"


def _bridge_netfilter() -> str | None:
    setting = "net.bridge.bridge-nf-call-iptables"
    return _refusal(["sysctl", "-n", setting], "iptables for bridges (modprobe br_netfilter)")


def _alternatives() -> str | None:
    link = Path("/etc/alternatives/iptables")
    return None if link.is_symlink() else f"{link}, by which Debian chooses the backend"


def _refusal(argv: list[str], what: str) -> str | None:
    """Run a program in a namespace made for this one question."""
    if reason := _root():
        return reason
    for program in ("ip", argv[0]):
        if not shutil.which(program):
            return f"the program {program}"
    name = f"nptables-probe-{uuid.uuid4().hex[:12]}"
    made = _silent(["ip", "netns", "add", name])
    if made.returncode:
        return f"network namespaces ({made.stderr.strip()})"
    try:
        asked = _silent(["ip", "netns", "exec", name, *argv])
    finally:
        _silent(["ip", "netns", "delete", name])
    return f"{what} ({asked.stderr.strip()})" if asked.returncode else None


def _silent(argv: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


_FEATURES: dict[str, Callable[[], str | None]] = {
    "root": _root,
    "netns": _network_namespaces,
    "legacy": _backend("legacy"),
    "nft": _backend("nft"),
    "nfacct objects": _nfacct,
    "bridge netfilter": _bridge_netfilter,
    "python-iptables": _python_iptables,
    "alternatives": _alternatives,
    "chromium": _browser("chromium"),
    "firefox": _browser("firefox"),
    "mermaid": _mermaid,
    "webassembly": _webassembly,
    "playground": _playground,
}
