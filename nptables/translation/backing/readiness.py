"""A readiness that can never come true, as far as manifests show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nptables.model import Service
from nptables.model.backing import Backing
from nptables.model.workloads import Probe, Workload
from nptables.translation.backing.causes import Cause, some

_POD_CONDITIONS = ("ContainersReady", "Initialized", "PodScheduled", "Ready")


def readiness_causes(service: Service, backing: Backing) -> Iterator[Cause]:
    """Why Pods that a Service selects may never be ready; the causes belong to the workloads."""
    if service.publish_not_ready_addresses:
        return
    for workload in backing.selected(service.namespace, service.selector):
        for probe in workload.probes:
            yield from _probe(workload, probe, backing)
        for position, gate in enumerate(workload.gates):
            # The kubelet and the scheduler set these themselves.
            if gate in _POD_CONDITIONS:
                continue
            path = (*workload.path, "spec", "readinessGates", position)
            where = backing.where(workload.kind, workload.namespace, workload.name, path)
            yield _of(
                workload,
                "readiness-gate",
                f"a Pod is ready only when a controller sets its condition {gate}{where}, and "
                "nothing in the input does",
                f"see that the controller that sets {gate} runs",
                path,
            )


def _probe(workload: Workload, probe: Probe, backing: Backing) -> Iterator[Cause]:
    where = backing.where(workload.kind, workload.namespace, workload.name, probe.path)
    if isinstance(probe.port, str):
        if probe.port not in probe.declared:
            has = _declared(workload, backing, sorted(probe.declared)) or "none with a name"
            yield _of(
                workload,
                "readiness-port-unknown",
                f'the {probe.field} of container "{probe.container}" asks port '
                f'"{probe.port}"{where}, which the container does not have; it has {has}',
                f'write "port: {next(iter(sorted(probe.declared)), "NUMBER")}"{where}',
                probe.path,
            )
        return
    declared = {port.number for port in workload.ports}
    if declared and probe.port not in declared:
        yield _of(
            workload,
            "readiness-port-undeclared",
            f'the {probe.field} of container "{probe.container}" asks port {probe.port}{where}, '
            f"which no container declares; they declare "
            f"{_declared(workload, backing, map(str, workload.ports))}",
            f'if nothing listens there, write "port: {workload.ports[0].number}"{where}',
            probe.path,
        )


def _declared(workload: Workload, backing: Backing, names: Iterable[str]) -> str:
    """Ports of a workload, with the place of the first one that it declares."""
    text = some(names)
    if not text or not workload.ports:
        return text
    first = workload.ports[0].path
    return text + backing.where(workload.kind, workload.namespace, workload.name, first)


def _of(workload: Workload, code: str, text: str, fix: str, path: tuple[str | int, ...]) -> Cause:
    return Cause(code, text, fix, workload.kind, workload.namespace, workload.name, path)
