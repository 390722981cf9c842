"""Values for what an API server would have given a Service that was never applied.

They are a function of the Service's own name, so that they are the same on every run and do
not move when something else is added. Two Services whose names lead to one value are the
exception: the one that stands first in the input keeps it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import Problem, printable
from nptables.family import Family
from nptables.immutable import frozen
from nptables.model import addresses, names
from nptables.model.schema import conforms
from nptables.sources.allocation import Allocator, Exhausted
from nptables.sources.ranges import Ranges

Object = Mapping[str, Any]


@frozen
class Preview:
    """One value that was invented: for which field, or how many Pods of a workload."""

    kind: str
    namespace: str
    name: str
    field: str
    value: str

    def __str__(self) -> str:
        verb = "are" if self.field.endswith(" Pods") else "is"
        subject = f"{self.kind} {self.namespace}/{self.name}"
        return printable(f"{subject}: {self.field} {verb} invented: {self.value}", 1000)

    def to_dict(self) -> dict[str, str]:
        """The preview as JSON has it."""
        return attrs.asdict(self)


@attrs.define(eq=False, repr=False)
class ServicePreviews:
    """Fills in what is missing in Services, one after the other.

    No value that one of `services` has is invented for another.
    `dual_stack` says whether the cluster has both families, `primary` which of them a Service
    gets that asks for none. With `refuse` nothing is made up and every gap is a problem.
    """

    services: Sequence[Object]
    ranges: Ranges
    primary: Family = Family.IPV4
    dual_stack: bool = False
    refuse: bool = False
    made: list[Preview] = attrs.field(factory=list)
    _found: Allocator | None = attrs.field(init=False, default=None)

    @property
    def allocator(self) -> Allocator:
        """What is free; where nothing has to be invented, nobody has to know."""
        if self._found is None:
            self._found = Allocator(self.ranges)
            self._take(self._found)
        return self._found

    def _take(self, allocator: Allocator) -> None:
        for service in self.services:
            spec = service.get("spec")
            if not isinstance(spec, Mapping):
                continue
            listed = spec.get("clusterIPs")
            given = [spec.get("clusterIP"), *(listed if isinstance(listed, list) else ())]
            allocator.take_addresses(text for text in given if isinstance(text, str))
            ports = spec.get("ports")
            numbers = [spec.get("healthCheckNodePort")]
            numbers += [
                port.get("nodePort")
                for port in (ports if isinstance(ports, list) else ())
                if isinstance(port, Mapping)
            ]
            allocator.take_ports(number for number in numbers if isinstance(number, int))

    def complete(self, service: Object) -> tuple[Object, list[Problem]]:
        """The Service with its gaps filled; one that is wrong anyway comes back as it is."""
        if not conforms(service, "Service"):
            return service, []
        metadata = service.get("metadata") or {}
        if not names.is_label(metadata.get("name") or ""):
            return service, []
        spec = service.get("spec") or {}
        if spec.get("type") == "ExternalName":
            return service, []
        gaps = _Gaps(service, spec, self)
        return gaps.filled()


@attrs.define(eq=False, repr=False)
class _Gaps:
    """The gaps of one Service."""

    service: Object
    spec: Object
    previews: ServicePreviews
    problems: list[Problem] = attrs.field(factory=list)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def namespace(self) -> str:
        return str(self.service["metadata"].get("namespace") or "default")

    @property
    def name(self) -> str:
        return str(self.service["metadata"]["name"])

    def filled(self) -> tuple[Object, list[Problem]]:
        """The Service with all that was missing, or the problems that stand instead."""
        try:
            changes = {**self._cluster_ips(), **self._node_ports(), **self._health_check()}
        except Exhausted as error:
            self.problems.append(self._problem(("spec",), str(error), "a larger range"))
            changes = {}
        if not changes or self.problems:
            return self.service, self.problems
        return {**self.service, "spec": {**self.spec, **changes}}, []

    def _cluster_ips(self) -> dict[str, Any]:
        first, listed = self.spec.get("clusterIP"), self.spec.get("clusterIPs")
        given = list(listed or ([first] if first else []))
        if "None" in given:
            return {}
        families = self._families(given)
        missing = families[len(given) :]
        if not missing or len(given) > len(families):
            return {}
        if self._refused(("spec", "clusterIP"), "an address of the cluster's range"):
            return {}
        made = [self.previews.allocator.address(self.key, family) for family in missing]
        ips = [*given, *made]
        for position, address in enumerate(made, start=len(given)):
            self._note(
                "spec.clusterIP" if len(ips) == 1 else f"spec.clusterIPs[{position}]", address
            )
        return {
            "clusterIP": ips[0],
            "clusterIPs": ips,
            # Families that go beyond the policy stay, and are refused.
            "ipFamilies": max(
                [family.value for family in families], self.spec.get("ipFamilies") or [], key=len
            ),
        }

    def _families(self, given: Sequence[str]) -> list[Family]:
        """The families that the server would give the Service, the first one first."""
        known = {family.value: family for family in Family}
        asked = [known[text] for text in self.spec.get("ipFamilies") or () if text in known]
        parsed = [addresses.parse_ip(text) for text in given]
        of_given = [Family.of(address) for address in parsed if address is not None]
        families = list(dict.fromkeys(asked or of_given or [self.previews.primary]))
        policy = self.spec.get("ipFamilyPolicy")
        # A Service that says nothing has one family, in a dual-stack cluster too (KEP-563).
        if policy in (None, "", "SingleStack"):
            return families[:1]
        both = policy == "RequireDualStack" or (
            policy == "PreferDualStack" and self.previews.dual_stack
        )
        if both and len(families) == 1:
            families.append(families[0].other)
        return families

    def _node_ports(self) -> dict[str, Any]:
        kind = self.spec.get("type")
        # A load balancer may reach Pods without node ports (KEP-1864).
        wanted = kind == "NodePort" or (
            kind == "LoadBalancer" and self.spec.get("allocateLoadBalancerNodePorts") is not False
        )
        ports = self.spec.get("ports") or []
        if not wanted or all(port is None or port.get("nodePort") for port in ports):
            return {}
        if self._refused(("spec", "ports"), "a nodePort for each port"):
            return {}
        # As initNodePorts of the server: one number for ports that differ in their protocol only.
        by_port = {
            p["port"]: p["nodePort"] for p in ports if p and p.get("nodePort") and "port" in p
        }
        filled = []
        for position, port in enumerate(ports):
            if port is None or port.get("nodePort"):
                filled.append(port)
                continue
            number = by_port.get(port.get("port"))
            if number is None:
                number = self.previews.allocator.port(f"{self.key}:{port.get('port')}")
                by_port[port.get("port")] = number
            self._note(f"spec.ports[{position}].nodePort", str(number))
            filled.append({**port, "nodePort": number})
        return {"ports": filled}

    def _health_check(self) -> dict[str, Any]:
        needed = (
            self.spec.get("type") == "LoadBalancer"
            and self.spec.get("externalTrafficPolicy") == "Local"
            and not self.spec.get("healthCheckNodePort")
        )
        if not needed or self._refused(("spec", "healthCheckNodePort"), "a port"):
            return {}
        # The server takes it from the range of node ports too
        # (pkg/registry/core/service/storage/alloc.go).
        number = self.previews.allocator.port(f"{self.key}#health")
        self._note("spec.healthCheckNodePort", str(number))
        return {"healthCheckNodePort": number}

    def _refused(self, path: tuple[str, ...], wanted: str) -> bool:
        if not self.previews.refuse:
            return False
        missing = "lacks nodePorts" if path[-1] == "ports" else "is not set"
        self.problems.append(
            self._problem(path, f"{missing}, and no value may be invented", f"write {wanted}")
        )
        return True

    def _problem(self, path: tuple[str, ...], message: str, hint: str) -> Problem:
        return Problem(
            message,
            hint=hint,
            kind="Service",
            namespace=self.namespace,
            name=self.name,
            path=path,
        )

    def _note(self, field: str, value: str) -> None:
        self.previews.made.append(Preview("Service", self.namespace, self.name, field, value))
