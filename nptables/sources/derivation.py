"""Endpoints for the Services of an input that have no EndpointSlice in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from nptables.errors import Path, Problem
from nptables.model import Service
from nptables.model.metadata import made_by_hook
from nptables.model.objects import ObjectReading
from nptables.model.workloads import Workload, without_opaque
from nptables.sources.backing import Maker, key_of
from nptables.sources.derived import (
    MadeUpPods,
    has_address,
    is_never_applied,
    slices_from_endpoints,
    slices_from_pods,
)
from nptables.sources.previews import Preview

Object = Mapping[str, Any]


@attrs.define(eq=False, repr=False)
class Derivation:
    """Derives slices into a reading; `raws` are all objects, by their position.

    Without `preview` nothing is made up, and what would have to be is a problem.
    """

    reading: ObjectReading
    raws: Sequence[Any]
    preview: bool
    previews: list[Preview] = attrs.field(factory=list)

    def derive(
        self,
        endpoints: list[tuple[int, Any]],
        pods: list[tuple[int, Any]],
        makers: list[Maker],
    ) -> None:
        """Add a slice for every endpoint that Endpoints, Pods and workloads stand for."""
        have = {found.service_key for found in self.reading.slices.values()}
        # kube-proxy never receives the endpoints of headless Services.
        without = {
            key: service
            for key, service in self.reading.services.items()
            if key not in have and not service.headless
        }
        if not without or not (endpoints or pods or makers):
            return
        for index, raw in endpoints:
            service = without.pop(key_of(raw), None)
            if service is not None:
                self.reading.note_truncated(raw)
                self._keep_slices(slices_from_endpoints(service, raw), index)
        # Without a selector no controller makes slices: somebody else has to.
        selecting = [service for service in without.values() if service.selector]
        if selecting and (pods or makers):
            self._from_pods(selecting, pods, makers)

    def _from_pods(
        self,
        services: list[Service],
        pods: list[tuple[int, Any]],
        makers: list[Maker],
    ) -> None:
        by_namespace: dict[str, list[tuple[int, Object]]] = {}
        for index, raw in pods:
            by_namespace.setdefault(key_of(raw)[0], []).append((index, raw))
        maker = self._maker(pods)
        made: dict[tuple[int, Path], list[Object]] = {}
        for service in services:
            selected = [
                (index, pod)
                for index, pod in by_namespace.get(service.namespace, ())
                if _selects(service.selector, pod.get("metadata") or {})
            ]
            taken = [pod for _, pod in selected]
            # One with an address shows that a cluster made them, and then nothing has to be made
            # up.
            if not any(has_address(pod) for pod in taken):
                taken = self._made_up(service, selected, makers, maker, made)
            self._keep_slices(slices_from_pods(service, taken, self.reading.nodes), None)
        self.previews += maker.made

    def _maker(self, pods: list[tuple[int, Any]]) -> MadeUpPods:
        maker = MadeUpPods(
            self.reading.nodes,
            {
                key_of(raw)[1]: raw
                for raw in self.raws
                if isinstance(raw, Mapping)
                and raw.get("kind") == "Node"
                and key_of(raw)[1] in self.reading.nodes
            },
        )
        given = [e.address for s in self.reading.slices.values() for e in s.endpoints]
        given += [a for node in self.reading.nodes.values() for _, a in node.addresses]
        for _, raw in pods:
            status = raw.get("status") or {}
            given += [str(status.get("podIP") or "")]
            given += [str((item or {}).get("ip") or "") for item in status.get("podIPs") or ()]
        maker.reserve(given)
        return maker

    def _made_up(
        self,
        service: Service,
        selected: list[tuple[int, Object]],
        makers: list[Maker],
        maker: MadeUpPods,
        made: dict[tuple[int, Path], list[Object]],
    ) -> list[Object]:
        """Pods for what was never applied; each workload's are made once, whoever selects them.

        What a hook makes is there for a moment only. Pods of a Job count where there are no others.
        """
        found: list[Object] = []
        for index, pod in selected:
            if not is_never_applied(pod):
                found.append(pod)
                continue
            if made_by_hook(pod):
                continue
            if (index, ()) not in made:
                made[index, ()] = [] if self._refused("Pod", pod, index) else [maker.pod(pod)]
            found += made[index, ()]
        # The Deployment that owns a ReplicaSet is most often there too, and makes the same Pods.
        fitting = [
            (index, template, workload)
            for index, template, workload in makers
            if workload.namespace == service.namespace
            and not workload.hook
            and workload.fits(service.selector)
            and not _is_owned(self.raws[index])
        ]
        lasting = [one for one in fitting if not one[2].is_single]
        selector = without_opaque(service.selector)
        for index, template, workload in lasting or (fitting if not found else []):
            key = (index, workload.path)
            if key not in made:
                made[key] = self._replicas(index, template, workload, maker)
            found += [pod for pod in made[key] if _selects(selector, pod["metadata"])]
        return found

    def _replicas(
        self, index: int, template: Object, workload: Workload, maker: MadeUpPods
    ) -> list[Object]:
        if self._refused(workload.kind, self.raws[index], index):
            return []
        pods = maker.replicas(workload, template)
        if isinstance(pods, Problem):
            self.reading.problems.append(attrs.evolve(pods, index=index))
            self.reading.leave_out(self.raws[index])
            return []
        return pods

    def _refused(self, kind: str, raw: Object, index: int) -> bool:
        if self.preview:
            return False
        namespace, name = key_of(raw)
        self.reading.leave_out(raw)
        self.reading.problems.append(
            Problem(
                "has no address, and no value may be invented"
                if kind == "Pod"
                else "has no Pods with addresses, and no value may be invented",
                hint="give its EndpointSlices, or Pods with a status",
                kind=kind,
                namespace=namespace,
                name=name,
                index=index,
            )
        )
        return True

    def _keep_slices(self, slices: Iterable[Object], index: int | None) -> None:
        """Read derived slices; what they came from has been checked."""
        reading = ObjectReading(lenient=True)
        for raw in slices:
            reading.read_one(raw, -1 if index is None else index)
        for key, found in reading.slices.items():
            self.reading.slices[key] = attrs.evolve(found, derived=True)


def _selects(selector: Mapping[str, str], metadata: Object) -> bool:
    labels = metadata.get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _is_owned(raw: Object) -> bool:
    """Whether something else, such as a Deployment, answers for a workload's Pods."""
    owners = (raw.get("metadata") or {}).get("ownerReferences") or ()
    return any(isinstance(owner, Mapping) and owner.get("controller") for owner in owners)
