"""Kubeconfigs: where they are, and what several of them say together.

Source: k8s.io/client-go/tools/clientcmd/loader.go. Of entries with the same name the first file
counts, and so does the first file that has a current context; relative paths are relative to the
file that an entry is in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nptables.errors import printable
from nptables.immutable import frozen
from nptables.sources.apiserver.refusals import unusable

# What every Pod has that may talk to the API server.
POD_VARIABLE = "KUBERNETES_SERVICE_HOST"
_LISTS = {"clusters": "cluster", "contexts": "context", "users": "user"}


@frozen
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


@frozen
class Entry:
    """What a name stands for in a kubeconfig; `folder` is where that file is.

    `missing` is the key that should hold it and does not, if so.
    """

    name: str
    value: Mapping[str, Any]
    folder: Path
    missing: str = ""

    def text(self, key: str, *, needed: bool = False) -> str:
        """The text under a key, empty where there is none. Raises ApiServerError if `needed`."""
        found = self.value.get(key)
        if isinstance(found, str) and found:
            return found
        if needed or (found is not None and not isinstance(found, str)):
            raise unusable(f"Expected key {key} in {printable(self.name)}, with a text")
        return ""


@frozen
class Kubeconfig:
    """What all files say together; `contexts`, `clusters` and `users` are by their names."""

    current_context: str = ""
    contexts: Mapping[str, Entry] = attrs.field(factory=dict)
    clusters: Mapping[str, Entry] = attrs.field(factory=dict)
    users: Mapping[str, Entry] = attrs.field(factory=dict)

    def named(self, kind: str, name: str) -> Entry:
        """The entry of that name among the `contexts`, `clusters` or `users`.

        Raises ApiServerError where there is none, or where it holds nothing.
        """
        listed: Mapping[str, Entry] = getattr(self, kind)
        found = listed.get(name)
        if found is None:
            raise unusable(f"Expected object with name {printable(name)} in {kind} list")
        if found.missing:
            # Most likely what belongs under it stands one level too high.
            raise unusable(f"Expected key {found.missing} in {printable(found.name)}")
        return found


def read_kubeconfig(location: str) -> Kubeconfig | None:
    """What the files in a text such as KUBECONFIG has say together; None where none is there.

    Raises ApiServerError for what is no kubeconfig, OSError and yaml.YAMLError.
    """
    import yaml  # noqa: PLC0415 - a Pod with a service account needs none

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    read = False
    current = ""
    entries: dict[str, dict[str, Entry]] = {kind: {} for kind in _LISTS}
    for path in files_of(location):
        file = Path(path)
        if not file.exists():
            continue
        read = True
        with file.open(encoding="utf-8") as opened:
            document = yaml.load(opened, Loader=loader)  # noqa: S506 - it is a safe one
        if not isinstance(document, Mapping):
            raise unusable(f"{printable(path)} is not a kubeconfig")
        current = current or str(document.get("current-context") or "")
        for kind, key in _LISTS.items():
            for entry in _entries(document, kind, key, path):
                entries[kind].setdefault(entry[0], entry[1])
    return Kubeconfig(current, **entries) if read else None


def _entries(
    document: Mapping[str, Any], kind: str, key: str, path: str
) -> Iterator[tuple[str, Entry]]:
    listed = document.get(kind) or []
    if not isinstance(listed, list):
        raise unusable(f"Expected {kind} in {printable(path)} to be a list")
    for each in listed:
        if not isinstance(each, Mapping) or not isinstance(each.get("name"), str):
            raise unusable(f"Expected all values in {kind} of {printable(path)} to have a name")
        label = f"{path}/{kind}[name={each['name']}]"
        # A user may be there without anything under it: whoever asks without credentials.
        value = each.get(key) or {}
        missing = "" if key in each and isinstance(value, Mapping) else key
        folder = Path(path).absolute().parent
        yield each["name"], Entry(label, {} if missing else value, folder, missing)


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
