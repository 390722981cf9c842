"""The recorded conformance scenarios under fixtures/conformance."""

from __future__ import annotations

import functools
import gzip
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nptables import Cluster, ProxyConfig, translate
from nptables import Family as NpFamily

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nptables.translation import Translation
    from tests.support.netns import Family

FIXTURES = Path(__file__).parents[2] / "fixtures"
CONFORMANCE = FIXTURES / "conformance"
NAMED = tuple(sorted(path.name for path in (CONFORMANCE / "named").iterdir()))


@dataclass(frozen=True)
class Scenario:
    """What kube-proxy was given, and what iptables-save printed afterwards."""

    name: str
    objects: list[dict[str, Any]]
    config: dict[str, Any]
    facts: dict[str, Any]
    dumps: Mapping[Family, str]
    version: str | None = None

    @property
    def node(self) -> str:
        """The node's name, which the recordings take from the configuration."""
        return self.config["hostnameOverride"]

    @cached_property
    def cluster(self) -> Cluster:
        """The objects as a cluster."""
        return Cluster.from_objects(self.objects, lenient=True)

    @cached_property
    def proxy_config(self) -> ProxyConfig:
        """The configuration as the kube-proxy of the recording reads it."""
        return ProxyConfig.from_kube_proxy(self.config, version=self.version)

    def rules(self, family: Family) -> Translation:
        """Return the rules that the library under test makes of it."""
        node = self.cluster.node(self.node, facts=self.facts)
        return translate(self.cluster, node, self.proxy_config, NpFamily[family])

    def translated(self, family: Family) -> str:
        """Return the dump that the library under test makes of it."""
        return self.rules(family).to_save()


@functools.cache
def named_scenario(name: str) -> Scenario:
    folder = CONFORMANCE / "named" / name
    return Scenario(
        name=name,
        objects=_yaml_documents(folder / "cluster.yaml"),
        config=_yaml_documents(folder / "kube-proxy.yaml")[0],
        facts=_yaml_documents(folder / "facts.yaml")[0],
        dumps={
            "IPV4": (folder / "iptables-save").read_text(),
            "IPV6": (folder / "ip6tables-save").read_text(),
        },
    )


@functools.cache
def random_scenarios() -> Mapping[str, Scenario]:
    with gzip.open(CONFORMANCE / "random.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    return {
        record["name"]: Scenario(
            name=record["name"],
            objects=record["objects"],
            config=record["kubeProxyConfig"],
            facts=record["facts"],
            dumps={"IPV4": record["iptablesSave"], "IPV6": record["ip6tablesSave"]},
        )
        for record in records
    }


def _yaml_documents(path: Path) -> list[dict[str, Any]]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with path.open(encoding="utf-8") as file:
        return [document for document in yaml.load_all(file, loader) if document is not None]
