"""Dry runs need nothing that only Unix has, nor any signal beyond those of every system."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

TUTORIAL = "fixtures/tutorial/two-nodes.yaml"
# What Windows lacks of the standard library, and which signals it has.
WITHOUT = """
import signal, sys
for name in ("fcntl", "grp", "posix_spawn", "pty", "pwd", "resource", "termios", "tty", "syslog"):
    sys.modules[name] = None
kept = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
for name in [name for name in vars(signal) if name.startswith("SIG") and name.isupper()]:
    if name not in kept and not name.startswith("SIG_"):
        delattr(signal, name)
for name in ("pthread_sigmask", "sigwait", "sigtimedwait", "setitimer", "alarm", "siginterrupt"):
    if hasattr(signal, name):
        delattr(signal, name)
import os
for name in ("geteuid", "getuid", "fork", "setns", "unshare", "sched_getaffinity"):
    if hasattr(os, name):
        delattr(os, name)
from nptables.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module")
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dumps") / "node1.save"
    done = run("render", TUTORIAL, "--node", "node1")
    path.write_text(done.stdout)
    return path


def test_render_needs_nothing_of_unix(dump: Path) -> None:
    assert "--dport 30080 -j KUBE-EXT-" in dump.read_text()


def test_diff_needs_nothing_of_unix(dump: Path) -> None:
    done = run("diff", TUTORIAL, "--node", "node1", "--current", str(dump))

    assert (done.returncode, done.stdout) == (0, "")


def test_trace_needs_nothing_of_unix(dump: Path) -> None:
    arguments = ("--node", "node1", "--from", "outside", "--to", "nodeport:30080", "-o", "json")
    done = run("trace", TUTORIAL, "--save", str(dump), *arguments)

    assert done.returncode == 0, done.stderr
    assert "10.233.64.5" in json.dumps(json.loads(done.stdout))


def test_check_needs_nothing_of_unix() -> None:
    done = run("check", TUTORIAL)

    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr


def test_effects_need_nothing_of_unix() -> None:
    done = run("diff", TUTORIAL, TUTORIAL, "--node", "node1", "--effects", "-o", "json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["effects"] == []


def test_reach_and_graph_need_nothing_of_unix() -> None:
    reached = run("reach", TUTORIAL, "-o", "json")
    named = ("default/nodeport-service", TUTORIAL, "--node", "node1")
    drawn = run("graph", *named, "-o", "svg")

    assert (reached.returncode, drawn.returncode) == (0, 0), reached.stderr + drawn.stderr
    assert json.loads(reached.stdout)["rows"]
    assert "<svg" in drawn.stdout


def test_a_report_needs_nothing_of_unix(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("report", TUTORIAL, "-o", str(page))

    assert done.returncode == 0, done.stderr
    assert page.read_text().startswith("<!doctype html>")


def test_an_audit_of_files_needs_nothing_of_unix(dump: Path, tmp_path: Path) -> None:
    (tmp_path / "node1.save").write_text(dump.read_text())
    done = run("audit", TUTORIAL, "--snapshots", str(tmp_path), "--workers", "1", "-o", "json")

    assert done.returncode in (0, 1), done.stderr
    nodes = {node["name"]: node["verdict"] for node in json.loads(done.stdout)["nodes"]}
    assert nodes["node1"] == "ok"
