"""What is kept of the programs that may handle Services, from what /proc says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nptables.evidence.secrets import without_secret_fields, without_secrets
from nptables.model.config import API_VERSION

# By what the kernel calls them (/proc/PID/comm); deploy/snapshot.sh has the same names.
HANDLERS = frozenset({
    "kube-proxy", "hyperkube", "kubelite", "k3s", "k3s-server", "k3s-agent", "rke2", "nptables",
    "cilium-agent", "ovnkube", "ovnkube-node", "antrea-agent", "kube-router", "calico-node",
})  # fmt: skip

_OPTION = "--config"


def arguments_of(line: bytes) -> tuple[str, ...]:
    """The arguments in /proc/PID/cmdline behind the program's name, without secrets."""
    return without_secrets(_words(line)[1:])


def configuration_path(line: bytes) -> str:
    """The file that the option --config in /proc/PID/cmdline names, or an empty string."""
    return _option(_words(line)[1:])


def settings_of(value: Any) -> Mapping[str, Any] | None:
    """A KubeProxyConfiguration without secrets; None where a value is none."""
    if not isinstance(value, Mapping):
        return None
    group, _, _ = str(value.get("apiVersion", "")).partition("/")
    if group != API_VERSION.partition("/")[0]:
        return None
    kept: Mapping[str, Any] = without_secret_fields(value)
    return kept


def _words(line: bytes) -> list[str]:
    """The words of a command line; programs that name themselves anew leave zeros at its end."""
    return line.rstrip(b"\0").decode("utf-8", "surrogateescape").split("\0")


def _option(words: Sequence[str]) -> str:
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, given, value = word.partition("=")
        # Go programs take one dash as well as two.
        if name in (_OPTION, _OPTION[1:]):
            return value if given else following
    return ""
