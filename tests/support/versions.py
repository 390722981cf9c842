"""The recordings of every version of kube-proxy under fixtures/versions."""

from __future__ import annotations

import functools
import gzip
import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nptables.model.kubeproxy import NEWEST, VERSIONS
from tests.support.scenarios import FIXTURES, NAMED, Scenario, named_scenario

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = FIXTURES / "versions"
RECORDED = tuple(str(version) for version in VERSIONS)
_CANARY = re.compile(r"^:KUBE-PROXY-CANARY .*\n", re.MULTILINE)
# Here the order in which kube-proxy saw the slices decides.
BY_CHANCE = frozenset(
    {
        "slices-overlap-terminating",
        "slice-same-endpoint-ready-and-terminating",
        "slice-same-endpoint-terminating-first",
        "slice-same-endpoint-local-terminating",
    }
)


@dataclass(frozen=True)
class Recording:
    """What one version made of a scenario.

    `error` is what it said where it refused the configuration. `refused` tells that the kernel
    refused its rules, so that the dumps are not what it wanted.
    """

    version: str
    scenario: Scenario
    error: str = ""
    refused: bool = False


@functools.cache
def recordings(version: str) -> Mapping[str, Recording]:
    """Every recording of a version, by name; those of chance are left out."""
    return {
        recording.scenario.name: recording
        for recording in _read(version)
        if recording.scenario.name not in BY_CHANCE
    }


def _read(version: str) -> Iterator[Recording]:
    if version == str(NEWEST):
        # Its named recordings stand beside their inputs.
        yield from (Recording(version, named_scenario(name)) for name in NAMED)
    for kind in ("extra",) if version == str(NEWEST) else ("named", "extra"):
        for record in _records(f"{version}-{kind}.jsonl.gz"):
            name = record["name"]
            scenario = named_scenario(name) if kind == "named" else _extra()[name]
            dumps = {
                "IPV4": _without_canary(record.get("iptablesSave", "")),
                "IPV6": _without_canary(record.get("ip6tablesSave", "")),
            }
            refused = record.get("restoreFailed", False) or (
                name == "stored-sloppy-addresses" and ":KUBE-MARK-MASQ" not in dumps["IPV4"]
            )
            yield Recording(
                version,
                replace(scenario, dumps=dumps, version=version),
                record.get("error", ""),
                refused,
            )


@functools.cache
def _extra() -> Mapping[str, Scenario]:
    return {
        record["name"]: Scenario(
            name=record["name"],
            objects=record["objects"],
            config=record["kubeProxyConfig"],
            facts=record["facts"],
            dumps={},
        )
        for record in _records("extra.jsonl.gz")
    }


def _records(name: str) -> list[dict[str, Any]]:
    with gzip.open(FOLDER / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def _without_canary(dump: str) -> str:
    return _CANARY.sub("", dump)
