"""Credentials that programs and providers give, by way of the `kubernetes` client.

It starts exec plugins (client.authentication.k8s.io) and knows the auth providers of old
kubeconfigs. It is heavy, so that this module is imported only where a kubeconfig names one.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException
from kubernetes.config.dateutil import parse_rfc3339
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.kube_config import ConfigNode, KubeConfigLoader, KubeConfigMerger

from nptables.errors import ApiServerError, printable
from nptables.sources.apiserver.refusals import reason_of, unusable

# From SIGTERM to SIGKILL for a plugin that took longer.
_GRACE = "5"


class Credentials:
    """What a plugin gave: a token or a client certificate or both, and until when they count."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        self.token = _text(status, "token")
        self.certificate = _text(status, "clientCertificateData")
        self.key = _text(status, "clientKeyData")
        if bool(self.certificate) != bool(self.key):
            raise ValueError(
                "it gave a client certificate without its key, or a key without its certificate"
            )
        if not self.token and not self.certificate:
            raise ValueError("it gave neither a token nor a client certificate")
        self._expires = _time(_text(status, "expirationTimestamp"))

    def valid(self) -> bool:
        """Whether they have not expired."""
        return self._expires is None or datetime.now(UTC) < self._expires


class Plugin:
    """A program that gives credentials (client.authentication.k8s.io).

    `exec_` is what a kubeconfig's user has under that name, `cluster` its cluster, and `folder` is
    where that kubeconfig is. Raises ApiServerError where the program is not installed.
    """

    def __init__(self, exec_: Any, cluster: Mapping[str, Any], folder: Path) -> None:
        config = ConfigNode("exec", exec_)
        try:
            self._provider = ExecProvider(config, str(folder), ConfigNode("cluster", cluster))
            command = str(config["command"])
        except Exception as error:
            raise unusable(words_of(error)) from error
        self._name = printable(command)
        path = str(folder / command) if os.sep in command else command
        if shutil.which(path, path=self._provider.env.get("PATH")) is None:
            hint = " ".join(str(config.safe_get("installHint") or "").split())
            raise unusable(
                f"the credential plugin {self._name} is not installed, or may not be started"
                + (f": {printable(hint)}" if hint else "")
            )
        self._args: list[str] = list(self._provider.args)

    def run(self, seconds: float) -> Credentials:
        """What the plugin gives, within so many seconds. Raises ApiServerError."""
        self._provider.args = [*_time_limit(seconds), *self._args]
        started = time.monotonic()
        try:
            status = self._provider.run()
            if not isinstance(status, Mapping):
                raise ValueError("its status is not an object")
            return Credentials(status)
        except Exception as error:
            # A ConfigException for what it did, else whatever its output makes the client raise.
            if time.monotonic() - started >= seconds:
                said = f"it did not end within {seconds:g} s"
            elif isinstance(error, AttributeError) and os.isatty(1):
                # On a terminal the client has no copy of the plugin's words, and stumbles.
                said = "see its messages above"
            else:
                said = words_of(error).removeprefix("exec: ")
            raise ApiServerError(f"the credential plugin {self._name} failed: {said}") from error


def provided(location: str, context: str) -> Callable[[], str]:
    """What gives the Authorization header of a user with an auth provider, renewed as it needs.

    Raises ApiServerError.
    """
    configuration: Any = Configuration()
    try:
        loader = KubeConfigLoader(
            KubeConfigMerger(location).config, active_context=context, config_base_path=None
        )
        loader.load_and_set(configuration)
    except Exception as error:
        raise unusable(words_of(error)) from error

    def authorization() -> str:
        # Some versions of the client call it "authorization", and 36.0 finds "BearerToken" alone.
        name = "BearerToken" if "BearerToken" in configuration.api_key else "authorization"
        try:
            value = configuration.get_api_key_with_prefix(name)
        except Exception as error:
            raise ApiServerError(f"the credentials cannot be read: {words_of(error)}") from error
        return str(value or "").strip()

    return authorization


def words_of(error: BaseException) -> str:
    """What went wrong, on one line and without a secret."""
    if isinstance(error, ConfigException):
        # The client names an entry of a kubeconfig by all of its content.
        text = re.sub(r"/\{.*", "", str(error), flags=re.DOTALL)
        return printable(text.strip() or "it cannot be used")
    if isinstance(error, ValueError):
        return printable(str(error))
    if isinstance(error, KeyError):
        return printable(f"{error.args[0] if error.args else ''} is missing")
    return reason_of(error)


def _text(status: Mapping[str, Any], name: str) -> str:
    value = status.get(name) or ""
    if not isinstance(value, str):
        raise ValueError(f"its {name} is not a string")
    return value.strip()


def _time(text: str) -> datetime | None:
    try:
        return parse_rfc3339(text) if text else None
    except Exception as error:
        # Which one depends on the client's version.
        raise ValueError(f"its expirationTimestamp is not a time: {text}") from error


def _time_limit(seconds: float) -> list[str]:
    """What goes before a command to end it, and all that it started, after so many seconds.

    The client starts the plugin itself, so that a program has to watch over it: timeout(1), which
    every Linux has. Whoever sits before a terminal may have to type something, and can end it.
    """
    program = shutil.which("timeout")
    if program is None or (os.isatty(0) and os.isatty(1)):
        return []
    return [program, "-k", _GRACE, f"{seconds:g}"]
