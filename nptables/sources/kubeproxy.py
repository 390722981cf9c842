"""kube-proxy's configuration, alone in a file or inside the ConfigMap that kubeadm makes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from nptables.errors import InvalidInput, Problem
from nptables.immutable import frozen
from nptables.model import NodeFacts, ProxyConfig
from nptables.model.config import API_VERSION, KIND
from nptables.model.kubeproxy import Version
from nptables.model.objects import flattened
from nptables.sources.text import Document, Input, parse_text, read_one

T = TypeVar("T")


def find_kube_proxy_config(value: Any) -> Mapping[str, Any] | None:
    """The KubeProxyConfiguration that an object is or holds, or None.

    `value` is the configuration itself, the ConfigMap `kube-system/kube-proxy` as kubeadm makes
    it (in any key of its data), or a List with one of them. Raises InvalidInput where the text
    in the ConfigMap does not parse.
    """
    for found in _configurations(value):
        if isinstance(found, Mapping):
            return found
        return _document_in(found, "the ConfigMap").value  # type: ignore[no-any-return]
    return None


@frozen
class FoundConfig:
    """A KubeProxyConfiguration that was found and that nobody has read yet.

    It is read once it is known for which version of kube-proxy, which may depend on the node, whose
    name may stand in it.
    """

    value: Any
    document: Document | None = None

    @property
    def hostname_override(self) -> str:
        """The node's name as far as the configuration says it; checked when it is read."""
        # As kube-proxy does (GetHostname in k8s.io/component-helpers/node/util).
        name = self.value.get("hostnameOverride") if isinstance(self.value, Mapping) else None
        return name.strip().lower() if isinstance(name, str) else ""

    def read(self, version: str | Version | None = None) -> ProxyConfig:
        """What it says to a version of kube-proxy. Raises InvalidInput, with lines for a file."""
        if self.document is None:
            return ProxyConfig.from_kube_proxy(self.value, version=version)
        return _placed(
            self.document,
            lambda value: ProxyConfig.from_kube_proxy(value, version=version),
            self.value,
        )


def read_config(path: str | os.PathLike[str], version: str | Version | None = None) -> ProxyConfig:
    """The kube-proxy configuration in a file. Raises InvalidInput with lines."""
    return find_config(path).read(version)


def find_config(path: str | os.PathLike[str]) -> FoundConfig:
    """The kube-proxy configuration in a file, not read yet. Raises InvalidInput with lines."""
    return config_in(read_one(path))


def config_in(source: Input) -> FoundConfig:
    """The kube-proxy configuration in a text, not read yet. Raises InvalidInput with lines."""
    documents = _documents(source)
    for document in documents:
        for found in _configurations(document.value):
            if isinstance(found, Mapping):
                return FoundConfig(found, document)
            inner = _document_in(found, document.file)
            return FoundConfig(inner.value, inner)
    if len(documents) == 1:
        return FoundConfig(documents[0].value, documents[0])
    raise InvalidInput(
        [
            Problem(
                "has no kube-proxy configuration in it",
                hint=f"apiVersion: {API_VERSION}, kind: {KIND}",
                file=documents[0].file,
            )
        ]
    )


def read_facts(path: str | os.PathLike[str]) -> NodeFacts:
    """The facts of a node in a file. Raises InvalidInput with lines."""
    return facts_in(read_one(path))


def facts_in(source: Input) -> NodeFacts:
    """The facts of a node in a text. Raises InvalidInput with lines."""
    return _only(source, NodeFacts.from_mapping)


def read_document(path: str | os.PathLike[str], read: Callable[[Any], T]) -> T:
    """What `read` makes of the only document in a file; its problems get lines.

    Raises InvalidInput.
    """
    return _only(read_one(path), read)


def _only(source: Input, read: Callable[[Any], T]) -> T:
    documents = _documents(source)
    if len(documents) > 1:
        raise InvalidInput(
            [Problem(f"holds {len(documents)} documents, not one", file=documents[0].file)]
        )
    return _placed(documents[0], read, documents[0].value)


def parse_config(text: str) -> Any:
    """The KubeProxyConfiguration in a text as it is written there, or None."""
    documents, problems = parse_text(Input("the configuration", text))
    if problems:
        return None
    values = (document.value for document in documents)
    return next((v for v in values if isinstance(v, Mapping) and v.get("kind") == KIND), None)


def _documents(source: Input) -> list[Document]:
    documents, problems = parse_text(source)
    if problems:
        raise InvalidInput(problems)
    if not documents:
        raise InvalidInput([Problem("is empty", file=source.name)])
    return documents


def _placed(document: Document, read: Callable[[Any], T], value: Any) -> T:
    try:
        return read(value)
    except InvalidInput as error:
        raise InvalidInput([document.place(problem) for problem in error.problems]) from None


def _configurations(value: Any) -> Iterator[Mapping[str, Any] | str]:
    """Configurations as mappings, or as the text that a ConfigMap holds."""
    for item in flattened(value):
        if not isinstance(item, Mapping):
            continue
        if item.get("kind") == KIND:
            yield item
        elif item.get("kind") == "ConfigMap" and isinstance(item.get("data"), Mapping):
            # kubeadm calls it config.conf, and others otherwise.
            for text in item["data"].values():
                if isinstance(text, str) and KIND in text and "kubeproxy.config.k8s.io" in text:
                    yield text


def _document_in(text: str, file: str) -> Document:
    documents, problems = parse_text(Input(f"{file} (inside the ConfigMap)", text))
    if problems:
        raise InvalidInput(problems)
    for document in documents:
        if isinstance(document.value, Mapping) and document.value.get("kind") == KIND:
            return document
    raise InvalidInput([Problem("the ConfigMap holds no kube-proxy configuration", file=file)])
