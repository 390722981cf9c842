"""Target ports that the Pods do not have, as far as they are declared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nptables.errors import Path
from nptables.model import Service, ServicePort
from nptables.model.backing import Backing
from nptables.model.workloads import ContainerPort, Workload
from nptables.translation.backing.causes import Cause, Speaker, some, whose


def port_causes(service: Service, backing: Backing) -> Iterator[Cause]:
    """What is wrong with the target ports of a Service, for the workloads that it selects."""
    fitting = backing.selected(service.namespace, service.selector)
    if not fitting:
        return
    speaker = Speaker(service, backing)
    for position, port in enumerate(service.ports):
        path = ("spec", "ports", position, "targetPort")
        if isinstance(port.target_port, str):
            yield from _named(speaker, port, path, fitting)
        else:
            yield from _numbered(speaker, port, path, fitting)


def _named(
    speaker: Speaker, port: ServicePort, path: Path, fitting: Sequence[Workload]
) -> Iterator[Cause]:
    wanted, here = port.target_port, speaker.here(*path)
    offered = [(w, p) for w in fitting for p in w.ports if p.name == wanted]
    right = [(w, p) for w, p in offered if p.protocol == port.protocol]
    if right:
        yield from _resolved(speaker, path, right)
        return
    if offered:
        workload, held = offered[0]
        there = speaker.there(workload, held.path)
        yield speaker.cause(
            "target-port-protocol",
            f'"{wanted}" is asked for with {port.protocol}{here}, and {whose(workload)} have it '
            f"with {held.protocol}{there}",
            f'write "protocol: {held.protocol}" in the Service port, or "protocol: '
            f'{port.protocol}" in {workload.subject}{there}',
            path,
            (workload, held.path),
        )
        return
    have = [(w, p) for w in fitting for p in w.ports]
    named = [(w, p) for w, p in have if p.name]
    listed = some(str(p) for _, p in named) or (
        f"none with a name, only {some(str(p) for _, p in have)}" if have else "none"
    )
    shown = (named or have)[:1]
    where = "".join(speaker.there(w, p.path) for w, p in shown)
    yield speaker.cause(
        "target-port-unknown",
        f'no Pod has a {port.protocol} port named "{wanted}"{here}; they have {listed}{where}',
        _fix(str(wanted), port, here, shown, where),
        path,
        *[(w, p.path) for w, p in shown],
    )


def _fix(
    wanted: str,
    port: ServicePort,
    here: str,
    shown: Sequence[tuple[Workload, ContainerPort]],
    where: str,
) -> str:
    if not shown:
        return f'write "targetPort: NUMBER"{here}, with the number at which the program listens'
    workload, held = shown[0]
    if held.protocol != port.protocol:
        return f'write a port with "name: {wanted}" and its number in {workload.subject}{where}'
    return (
        f'write "targetPort: {held.name or held.number}"{here}, or "name: {wanted}" in '
        f"{workload.subject}{where}"
    )


def _resolved(
    speaker: Speaker, path: Path, right: Sequence[tuple[Workload, ContainerPort]]
) -> Iterator[Cause]:
    """Each Pod resolves a name for itself, and takes the first port that has it."""
    first: dict[int, tuple[Workload, ContainerPort]] = {}
    seen: set[int] = set()
    for workload, port in right:
        if id(workload) not in seen:
            seen.add(id(workload))
            first.setdefault(port.number, (workload, port))
    if len(first) < 2:
        return
    told = some(
        f"{number} in {workload.subject}{speaker.there(workload, port.path)}"
        for number, (workload, port) in first.items()
    )
    workload, port = list(first.values())[1]
    yield speaker.cause(
        "target-port-differs",
        f'"{port.name}"{speaker.here(*path)} is {told}',
        f'write one number at "name: {port.name}" in each, or a number as targetPort',
        path,
        (workload, port.path),
    )


def _numbered(
    speaker: Speaker, port: ServicePort, path: Path, fitting: Sequence[Workload]
) -> Iterator[Cause]:
    declared = [(w, p) for w in fitting for p in w.ports]
    wanted = (port.target_port, port.protocol)
    # What a container declares is information only: a program may listen on any port, so this is
    # never more than a suspicion (`ports` in the API reference of Container).
    if not declared or wanted in {(p.number, p.protocol) for _, p in declared}:
        return
    workload, shown = next(
        ((w, p) for w, p in declared if p.number == port.target_port), declared[0]
    )
    where = speaker.there(workload, shown.path)
    yield speaker.cause(
        "target-port-undeclared",
        f"no container declares {port.target_port}/{port.protocol}{speaker.here(*path)}; they "
        f"declare {some(str(p) for _, p in declared)}{where}",
        f'if the program does not listen there, write "targetPort: {shown.number}"'
        if shown.number != port.target_port
        else f'if the program does not listen there, write "protocol: {shown.protocol}"',
        path,
        (workload, shown.path),
    )
