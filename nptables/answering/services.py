"""A Service as it is named."""

from __future__ import annotations

from nptables.errors import InvalidInput, Problem
from nptables.model import Cluster, Service
from nptables.model.names import KINDS


def service_key(text: str, namespace: str = "default") -> tuple[str, str]:
    """Namespace and name in `NS/NAME`, `svc/NAME` or `svc/NS/NAME`.

    A bare name is in `namespace`. `svc`, `service` and `services` are the kind, as for kubectl, and
    no namespaces. Raises InvalidInput for what names no Service.
    """
    kind, _, rest = text.partition("/")
    named = rest if rest and KINDS.get(kind) == "svc" else text
    given, slash, name = named.rpartition("/")
    if not name or "/" in given or (slash and not given):
        raise InvalidInput(
            [Problem(f'"{text}" is not a Service', hint="write NAMESPACE/NAME or svc/NAME")]
        )
    return given or namespace, name


def service_in(cluster: Cluster, key: tuple[str, str]) -> Service:
    """A Service by namespace and name. Raises InvalidInput, which lists those that are there."""
    found = cluster.services.get(key)
    if found is None:
        known = ", ".join("/".join(each) for each in sorted(cluster.services)[:10])
        raise InvalidInput(
            [Problem(f"there is no Service {'/'.join(key)}", hint=f"there are: {known or 'none'}")]
        )
    return found
