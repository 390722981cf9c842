"""What commands print for people fits a terminal of 80 columns."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from nptables.cli import main
from nptables.translation import ServicePortName
from tests.cli.test_streams import STATUS
from tests.support.clusters import endpoint, endpoint_slice, service

if TYPE_CHECKING:
    from pathlib import Path

LONGEST = "a" * 63


def printed(*arguments: str, capfd: pytest.CaptureFixture[str]) -> list[str]:
    main(list(arguments))
    return capfd.readouterr().out.splitlines()


def test_findings_fit(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    web = service(externalIPs=["198.51.100.7"], sessionAffinity="ClientIP")
    (tmp_path / "web.json").write_text(json.dumps(web))

    lines = printed("check", "web.json", capfd=capfd)

    # A finding is one line, for programs; what is said of it is for people.
    said = [line for line in lines if line.startswith(" ")]
    assert len(said) > 3
    assert max(map(len, said)) <= 80


def test_chain_names_fit(capfd: pytest.CaptureFixture[str]) -> None:
    lines = printed("name", "a/b:http", "--endpoint", "[2001:db8::1]:8080", capfd=capfd)

    assert len(lines) == 5
    assert max(map(len, lines)) <= 80


def test_the_owner_of_a_chain_fits(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = service(LONGEST)
    objects = [made, endpoint_slice(endpoint("10.244.1.1"), of=LONGEST)]
    path = tmp_path / "long.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    name = ServicePortName("default", LONGEST, made["spec"]["ports"][0].get("name", ""))

    lines = printed("whose", name.external_chain, str(path), capfd=capfd)

    assert lines[0].startswith(f"default/{LONGEST}")
    assert max(map(len, lines)) <= 80


def test_the_status_of_an_agent_fits(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    status = {**STATUS, "node": f"{LONGEST}.example", "pid": 4194304}
    monkeypatch.setattr("nptables.agent.serving.ask_status", lambda _: status)

    lines = printed("status", capfd=capfd)

    assert lines[0].startswith(f"Node {LONGEST}.example,")
    assert max(map(len, lines)) <= 80
