"""Everything that rules are made from, for a cluster that was read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Self

import attrs

from nptables import sources
from nptables.answering.saying import Say, silent
from nptables.answering.versions import Told, config_for
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import Cluster, Node, NodeFacts, ProxyConfig
from nptables.model.times import changed, in_words, seconds_of
from nptables.translation import Translation, translate

if TYPE_CHECKING:
    from nptables.evidence import Evidence, Process
    from nptables.sources import FoundConfig, Loaded

# Halves that were taken so shortly after one another need no words.
_NEAR = 5.0
_NAMED = 6
_OPTION = "--config names another"


@frozen
class Inputs:
    """What is said about the cluster, the node and the configuration.

    `found` is the configuration before it was read for a version of kube-proxy.
    """

    loaded: Loaded
    node: Node
    config: ProxyConfig
    family: Family
    found: FoundConfig | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster that was read."""
        return self.loaded.cluster

    @property
    def comparable(self) -> Self:
        """The same without the Services of which addresses are hidden."""
        cluster = self.cluster.comparable
        return attrs.evolve(self, loaded=attrs.evolve(self.loaded, cluster=cluster))

    def translate(self, family: Family | None = None) -> Translation:
        """The rules of the node, in the family that was asked for unless another is given."""
        return translate(self.cluster, self.node, self.config, family or self.family)


def inputs_of(
    loaded: Loaded,
    *,
    node_name: str | None,
    given: FoundConfig | None = None,
    facts: NodeFacts | None = None,
    family: Family | None,
    version: str | None = None,
    here: Told | None = None,
    like: Node | None = None,
    evidence: Evidence | None = None,
    say: Say = silent,
) -> Inputs:
    """Everything that rules are made from.

    The node is the one that is named, else that of hostnameOverride, else the one that `evidence`
    is of, else the only one there is. `given` is a configuration that counts more than what is in
    the manifests or the evidence, `here` the version of this node's kube-proxy. `like` tells the
    version of kube-proxy where the node does not. What `evidence` has of the node counts where
    nobody has said otherwise. Raises InvalidInput.
    """
    kube_proxy, known = None, ""
    if evidence is not None:
        # Without evidence nothing that reads it has to be imported.
        from nptables.evidence.kubeproxy import kube_proxy_of  # noqa: PLC0415
        from nptables.evidence.node_names import node_of  # noqa: PLC0415

        kube_proxy = kube_proxy_of(evidence)
        known = node_of(evidence, loaded.cluster.nodes)
        mention_times(loaded, evidence, say)
    found = configuration(given, loaded.proxy_config, kube_proxy, say=say)
    if evidence is not None and evidence.facts is not None:
        facts = (facts or NodeFacts()).over(evidence.facts)
    override = "" if found is None else found.hostname_override
    node = loaded.cluster.node(node_name or override or known or None, facts)
    telling = node if node.kubelet_version or like is None else like
    runs = "" if kube_proxy is None else kube_proxy.version
    config = config_for(found, [telling], asked=version, runs=runs, here=here, say=say)
    return Inputs(loaded, node, config, family or Family.IPV4, found)


def configuration(
    given: FoundConfig | None,
    in_manifests: Mapping[str, Any] | None = None,
    kube_proxy: Process | None = None,
    *,
    say: Say = silent,
) -> FoundConfig | None:
    """The configuration that is given, else that of a kube-proxy, else that in the manifests."""
    if given is not None:
        return given
    if kube_proxy is not None:
        from nptables.evidence.kubeproxy import configuration_of  # noqa: PLC0415 - as above

        if (runs_with := configuration_of(kube_proxy)) is not None:
            say("the configuration is that of the kube-proxy that runs there", option=_OPTION)
            return sources.FoundConfig(runs_with)
    if in_manifests is None:
        return None
    say("the KubeProxyConfiguration among the manifests is used", option=_OPTION)
    return sources.FoundConfig(in_manifests)


def is_for_each_node(loaded: Loaded, found: FoundConfig | None, *about_one: object) -> bool:
    """Whether a packet is followed on every node: nothing that is given is about one of them."""
    override = "" if found is None else found.hostname_override
    return len(loaded.cluster.nodes) > 1 and not any((override, *about_one))


def mention_times(loaded: Loaded, evidence: Evidence, say: Say) -> None:
    """Say that objects and rules are of two times, and which Services changed in between."""
    objects = seconds_of(loaded.taken) if loaded.taken else None
    rules = seconds_of(evidence.taken) if evidence.taken else None
    if objects is None or rules is None or abs(objects - rules) < _NEAR:
        return
    text = f"the objects are from {in_words(objects)}, the rules from {in_words(rules)}"
    if rules > objects:
        say(f"{text}: what changed in between is in the rules alone")
        return
    later = ["/".join(key) for key, time in changed(loaded.cluster).items() if time >= rules]
    if not later:
        say(f"{text}: as far as the objects tell, nothing changed in between")
        return
    say(
        f"{text}: what changed in between ({some(later)}) may differ only for that reason",
        kind="warning",
    )


def some(services: Collection[str]) -> str:
    """The first few Services by name."""
    return ", ".join(sorted(services)[:_NAMED]) + (", ..." if len(services) > _NAMED else "")
