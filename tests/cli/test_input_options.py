"""The options of reading that every command with FILE arguments has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nptables.cli import main

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: NodePort, ports: [{port: 80}]}
---
apiVersion: v1
kind: Secret
metadata: {name: s}
"""


@pytest.fixture
def manifest(tmp_path: Path) -> str:
    path = tmp_path / "web.yaml"
    path.write_text(SERVICE)
    return str(path)


def test_what_is_made_up_is_listed_and_used(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--service-cidr", "172.20.7.0/30", "--node-port-range", "31000-31000"]

    assert main(["render", manifest, "--node", "node1", *options]) == 0

    out, err = capfd.readouterr()
    assert "note: Service default/web: spec.clusterIP is made up: 172.20.7." in err
    assert "note: Service default/web: spec.ports[0].nodePort is made up: 31000" in err
    assert "--dport 31000" in out


def test_nothing_is_made_up_where_previews_are_refused(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node", "node1", "--no-preview"]) == 2

    out, err = capfd.readouterr()
    assert out == ""
    assert "spec.clusterIP: is not set, and nothing is to be made up" in err


def test_a_range_that_is_none_is_a_wrong_command_line(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node-port-range", "many"]) == 2
    assert 'the node port range "many" is not a range' in capfd.readouterr().err


def test_objects_that_decide_nothing_are_counted_when_asked(
    manifest: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["render", manifest, "--node", "node1"]) == 0
    assert "Secret" not in capfd.readouterr().err
    assert main(["render", manifest, "--node", "node1", "-v"]) == 0
    assert "passed over, because they decide no rule: 1 Secret" in capfd.readouterr().err
