"""Why a selector selects nothing, or too much: the nearest workload, and the edit that mends it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nptables.errors import Path
from nptables.model import Service
from nptables.model.workloads import Workload
from nptables.translation.backing.causes import Cause, Speaker, pairs, some, whose
from nptables.translation.backing.typos import is_typo, may_be_two_names

# What tells applications apart, the most telling first.
_APP_KEYS = ("app.kubernetes.io/name", "app", "k8s-app", "name")
_SELECTOR: Path = ("spec", "selector")


def near_misses(
    speaker: Speaker, beside: Sequence[Workload], claims: Sequence[Service]
) -> tuple[Cause, ...]:
    """The causes for a selector that fits no workload and nearly fits one, the likeliest kind.

    `beside` are the workloads that may be meant, `claims` the other Services: a workload that
    one of them selects is rather meant for it.
    """
    found: dict[int, list[Cause]] = {}
    for workload in beside:
        for rank, cause in _near(speaker, workload, claims):
            found.setdefault(rank, []).append(cause)
    if found:
        return tuple(found[min(found)][:3])
    return tuple(_in_another_namespace(speaker, claims))


def _is_claimed(workload: Workload, claims: Sequence[Service]) -> bool:
    return any(
        claim.namespace == workload.namespace and workload.fits(claim.selector) for claim in claims
    )


def _near(
    speaker: Speaker, workload: Workload, claims: Sequence[Service]
) -> Iterator[tuple[int, Cause]]:
    selector = speaker.service.selector
    missing = {k: v for k, v in selector.items() if not workload.carries(k, v)}
    if workload.path and all(workload.own_labels.get(k) == v for k, v in selector.items()):
        yield 2, _on_the_object(speaker, workload, missing)
    if len(missing) != 1:
        return
    ((key, value),) = missing.items()
    has = workload.labels.get(key)
    if has is not None and is_typo(value, has):
        if not (may_be_two_names(value, has) and _is_claimed(workload, claims)):
            yield 0, _value(speaker, workload, key, value, has)
        return
    for other, held in workload.labels.items():
        if held == value and other not in selector and is_typo(key, other):
            yield 1, _key(speaker, workload, key, other)
            return
    if has is None and len(selector) > 1 and not _is_claimed(workload, claims):
        yield 3, _too_many(speaker, workload, key, value)


def _value(speaker: Speaker, workload: Workload, key: str, value: str, has: str) -> Cause:
    here = speaker.here(*_SELECTOR, key)
    path = (*workload.label_path, key)
    there = speaker.there(workload, path)
    return speaker.cause(
        "selector-slip",
        f"the selector says {key}={value}{here} and {whose(workload)} have {key}={has}{there}",
        f'write "{key}: {has}" in the selector{here}, or "{key}: {value}" in the Pod template '
        f"of {workload.subject}{there}",
        (*_SELECTOR, key),
        (workload, path),
    )


def _key(speaker: Speaker, workload: Workload, key: str, other: str) -> Cause:
    here = speaker.here(*_SELECTOR, key)
    path = (*workload.label_path, other)
    there = speaker.there(workload, path)
    value = workload.labels[other]
    return speaker.cause(
        "selector-slip",
        f"the selector says {key}={value}{here} and {whose(workload)} have {other}={value}{there}",
        f'write "{other}: {value}" in the selector{here}, or "{key}: {value}" in the '
        f"Pod template of {workload.subject}{there}",
        (*_SELECTOR, key),
        (workload, path),
    )


def _too_many(speaker: Speaker, workload: Workload, key: str, value: str) -> Cause:
    here = speaker.here(*_SELECTOR, key)
    there = speaker.there(workload, workload.label_path)
    return speaker.cause(
        "selector-label-too-many",
        f"the selector asks for {key}={value}{here}, which {whose(workload)} do not have; all "
        f"else fits ({pairs(workload.labels)}{there})",
        f'remove "{key}: {value}" from the selector{here}, or write it in the Pod '
        f"template of {workload.subject}{there}",
        (*_SELECTOR, key),
        (workload, workload.label_path),
    )


def _on_the_object(speaker: Speaker, workload: Workload, missing: dict[str, str]) -> Cause:
    own = ("metadata", "labels")
    here, there = speaker.here(*_SELECTOR), speaker.there(workload, workload.label_path)
    written = ", ".join(f'"{key}: {value}"' for key, value in missing.items())
    return speaker.cause(
        "selector-labels-on-workload",
        f"{pairs(speaker.service.selector)} of the selector{here} are labels of "
        f"{workload.subject} itself{speaker.there(workload, own)}; its Pods have "
        f"{pairs(workload.labels) or 'no label'}{there}",
        f"write {written} in {'.'.join(map(str, workload.label_path))} of {workload.subject}"
        f"{there}",
        _SELECTOR,
        (workload, workload.label_path),
    )


def _in_another_namespace(speaker: Speaker, claims: Sequence[Service]) -> Iterator[Cause]:
    service, backing = speaker.service, speaker.backing
    if service.key in backing.unplaced:
        return
    for workload in backing.workloads:
        if workload.hook or workload.is_single or not workload.namespace_given:
            continue
        if workload.fits(service.selector) and not _is_claimed(workload, claims):
            path = ("metadata", "namespace")
            here, there = speaker.here(*path), speaker.there(workload, path)
            yield speaker.cause(
                "selector-other-namespace",
                f"no Pod of namespace {service.namespace}{here} has "
                f"{pairs(service.selector)}, and {whose(workload)} are in namespace "
                f"{workload.namespace}{there}",
                f'write "namespace: {workload.namespace}" in the Service{here}, or "namespace: '
                f'{service.namespace}" in {workload.subject}{there}',
                path,
                (workload, path),
            )
            return


def shared_by_strangers(speaker: Speaker, fitting: Sequence[Workload]) -> Iterator[Cause]:
    """The cause for a selector on workloads of two applications, one without the port."""
    service = speaker.service
    key = next((k for k in _APP_KEYS if all(k in w.labels for w in fitting)), "")
    if not key or len({w.labels[key] for w in fitting}) < 2:
        return
    for port in service.ports:
        # A name resolves in each Pod by itself: one that lacks it is no endpoint of the port.
        if isinstance(port.target_port, str):
            continue
        having = [w for w in fitting if _declares(w, port.target_port, port.protocol)]
        lacking = [w for w in fitting if w.labels[key] not in _names(having, key)]
        if not having or not lacking:
            continue
        stranger = lacking[0]
        yield speaker.cause(
            "selector-shared",
            f"the selector {pairs(service.selector)}{speaker.here(*_SELECTOR)} selects "
            f"{whose(having[0])} ({key}={having[0].labels[key]}) and {whose(stranger)} "
            f"({key}={stranger.labels[key]}), which declare no port {port.target_port}/"
            f"{port.protocol}{speaker.there(stranger, stranger.label_path)}; they have "
            f"{some(map(str, stranger.ports)) or 'none'}",
            f'write "{key}: {having[0].labels[key]}" in the selector{speaker.here(*_SELECTOR)}',
            _SELECTOR,
            (stranger, stranger.label_path),
        )
        return


def _names(workloads: Sequence[Workload], key: str) -> set[str]:
    return {workload.labels[key] for workload in workloads}


def _declares(workload: Workload, number: int, protocol: str) -> bool:
    return any((port.number, port.protocol) == (number, protocol) for port in workload.ports)
