"""Where kubeconfigs are and which contexts they have, read without the kubernetes client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nptables.sources.apiserver.transport import POD_VARIABLE


@attrs.frozen
class Place:
    """Which cluster is asked: `context` is empty for the service account of a Pod.

    `namespace` is that of the context, empty where it names none. `server` is an URL.
    """

    context: str = ""
    server: str = ""
    namespace: str = ""

    def __str__(self) -> str:
        """The place in words, such as `context prod (https://10.0.0.1:6443, namespace shop)`."""
        named = f"context {self.context}" if self.context else "this Pod's service account"
        namespace = f", namespace {self.namespace}" if self.namespace else ""
        return f"{named} ({_without_password(self.server)}{namespace})"


def default_location(environment: Mapping[str, str] = os.environ) -> str:
    """The kubeconfigs that kubectl reads: KUBECONFIG, else ~/.kube/config."""
    return environment.get("KUBECONFIG") or "~/.kube/config"


def files_of(location: str) -> list[str]:
    """The paths in a text such as KUBECONFIG has, which may list several."""
    paths = location.split(os.pathsep)
    return [os.path.expanduser(path) for path in paths if path]  # noqa: PTH111 - stays a text


def is_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether anything says where a cluster is: a kubeconfig, or being in a Pod."""
    return POD_VARIABLE in environment or any(
        Path(path).exists() for path in files_of(default_location(environment))
    )


def contexts(location: str) -> Iterator[str]:
    """The names of the contexts in kubeconfigs, as far as they can be read."""
    import yaml  # noqa: PLC0415 - only where somebody completes a name

    for path in files_of(location):
        try:
            document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        listed: Any = document.get("contexts") if isinstance(document, Mapping) else None
        for each in listed if isinstance(listed, list) else ():
            if isinstance(each, Mapping) and isinstance(each.get("name"), str):
                yield each["name"]


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else url
