"""Where a cluster is and what proves who asks, as the kubernetes client reads it.

Imported only when a connection is made: the client is heavy, and an extra. What is done here in
its place, and why:

- It runs an exec plugin without a limit of time and goes on without credentials where the plugin
  fails. Here a plugin has `PLUGIN_SECONDS`, and what went wrong is an error that says so.
- It takes a plugin's token for expired five minutes early, and so runs the plugin for every
  request where tokens live no longer than that. Here a token counts until it expires.
- It leaves the keys that a plugin gave in files until the process ends. Here they go with it.
- Its words for a wrong kubeconfig may hold the whole entry of a user, token included.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kubernetes.client.configuration import Configuration
from kubernetes.config import ConfigException, load_incluster_config
from kubernetes.config.dateutil import parse_rfc3339
from kubernetes.config.exec_provider import ExecProvider
from kubernetes.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME
from kubernetes.config.kube_config import (
    KubeConfigLoader,
    KubeConfigMerger,
)

from nptables.errors import ApiServerError, printable
from nptables.sources.apiserver.kubeconfig import Place, default_location, files_of
from nptables.sources.apiserver.transport import reason_of

# How long an exec plugin may take.
PLUGIN_SECONDS = 60.0
# From SIGTERM to SIGKILL for a plugin that took longer.
_GRACE = "5"
# What may stand in an Authorization header.
_HEADER = re.compile(r"[!-~]+(?: [!-~]+)*")


class Access:
    """A cluster's address and the credentials for it; `configuration` is the client's.

    `place` says which cluster that is.
    One thread uses one Access. Raises ApiServerError for what cannot be used; a plugin that fails
    does so only when the credentials are asked for, since it may work a moment later.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | None = None,
        context: str | None = None,
        plugin_seconds: float = PLUGIN_SECONDS,
    ) -> None:
        self.configuration: Any = Configuration()
        self.place = Place()
        self._plugin: Plugin | None = None
        self._seconds = plugin_seconds
        self._credentials: Credentials | None = None
        try:
            self._load(kubeconfig, context)
        except ApiServerError:
            raise
        except Exception as error:
            # The loader raises whatever its files, and their YAML, make it raise.
            raise _unusable(words_of(error)) from error

    def refresh(self) -> bool:
        """Run the plugin if its credentials are missing or expired; whether they are others now.

        Raises ApiServerError.
        """
        if self._plugin is None or (self._credentials and self._credentials.valid()):
            return False
        given = self._credentials = self._plugin.run(self._seconds)
        self.configuration.cert_file = given.certificate_file
        self.configuration.key_file = given.key_file
        return True

    def authorization(self) -> str:
        """The Authorization header, or an empty string. Raises ApiServerError."""
        if self._credentials is not None and self._credentials.token:
            value = f"Bearer {self._credentials.token}"
        else:
            value = self._configured()
        if value and not _HEADER.fullmatch(value):
            # The error of whoever sends it would hold the token.
            raise ApiServerError(
                "the credentials cannot be used: the token has a character that no HTTP header "
                "may have, such as a line break"
            )
        return value

    def _configured(self) -> str:
        """What the configuration holds; the client reads the token of a Pod once a minute.

        Some loaders call it "authorization", and client 36.0 looks for "BearerToken" alone.
        """
        name = "BearerToken" if "BearerToken" in self.configuration.api_key else "authorization"
        try:
            value = self.configuration.get_api_key_with_prefix(name)
        except Exception as error:
            raise ApiServerError(f"the credentials cannot be read: {words_of(error)}") from error
        return str(value or "").strip()

    def _load(self, kubeconfig: str | None, context: str | None) -> None:
        if kubeconfig is None and context is None:
            try:
                load_incluster_config(client_configuration=self.configuration)
            except ConfigException as error:
                if os.environ.get(SERVICE_HOST_ENV_NAME) and not _default_files():
                    folder = Path(SERVICE_TOKEN_FILENAME).parent
                    raise _unusable(
                        f"the service account of this Pod ({folder}): {words_of(error)}"
                    ) from error
            else:
                self.place = Place(server=self.configuration.host)
                return
        self._load_kubeconfig(kubeconfig or default_location(), context)

    def _load_kubeconfig(self, files: str, context: str | None) -> None:
        config = KubeConfigMerger(files).config
        if config is None:
            raise _unusable(f"there is no kubeconfig: {printable(files)}")
        name = _context_name(config, context, files)
        chosen = config["contexts"].get_with_name(name)["context"]
        cluster = config["clusters"].get_with_name(chosen["cluster"])["cluster"]
        user = _user(config, chosen)
        if user is not None and "exec" in user and not {"token", "tokenFile"} & user.value.keys():
            folder = Path(cluster.path).absolute().parent
            self._plugin = Plugin(user["exec"], cluster, folder)
            del user.value["exec"]
        KubeConfigLoader(config, active_context=name, config_base_path=None).load_and_set(
            self.configuration
        )
        namespace = chosen.safe_get("namespace")
        self.place = Place(
            name, str(self.configuration.host), namespace if isinstance(namespace, str) else ""
        )


class Credentials:
    """What a plugin gave: a token or a client certificate or both, and until when they count."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        self.token = _text(status, "token")
        self.certificate_file: str | None = None
        self.key_file: str | None = None
        certificate, key = (_text(status, f"client{part}Data") for part in ("Certificate", "Key"))
        if bool(certificate) != bool(key):
            raise ValueError(
                "it gave a client certificate without its key, or a key without its certificate"
            )
        if not self.token and not certificate:
            raise ValueError("it gave neither a token nor a client certificate")
        self._expires = _time(_text(status, "expirationTimestamp"))
        if certificate:
            self._keep(certificate, key)

    def valid(self) -> bool:
        """Whether they have not expired."""
        return self._expires is None or datetime.now(UTC) < self._expires

    def _keep(self, certificate: str, key: str) -> None:
        """Write what OpenSSL takes from files only into some that live as long as this."""
        folder = tempfile.mkdtemp(prefix="nptables-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name, content in (("tls.crt", certificate), ("tls.key", key)):
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_text(content)
        self.certificate_file, self.key_file = f"{folder}/tls.crt", f"{folder}/tls.key"


class Plugin:
    """A program that gives credentials (client.authentication.k8s.io).

    `config` is the `exec` of a kubeconfig's user; `folder` is where that kubeconfig is. Raises
    ApiServerError where the program is not installed.
    """

    def __init__(self, config: Any, cluster: Any, folder: Path) -> None:
        self._provider = ExecProvider(config, str(folder), cluster)
        command = str(config["command"])
        self._name = printable(command)
        path = str(folder / command) if os.sep in command else command
        if shutil.which(path, path=self._provider.env.get("PATH")) is None:
            hint = " ".join(str(config.safe_get("installHint") or "").split())
            raise _unusable(
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


def _unusable(reason: str) -> ApiServerError:
    return ApiServerError(f"the cluster configuration cannot be used: {reason}")


def _default_files() -> list[str]:
    """The kubeconfigs that kubectl would read and that are there."""
    return [path for path in files_of(default_location()) if Path(path).exists()]


def _context_name(config: Any, asked: str | None, files: str) -> str:
    """The context that was asked for, else the current one. Raises ApiServerError for none."""
    name = asked or config.safe_get("current-context")
    listed = config.safe_get("contexts")
    known = [str(each.safe_get("name")) for each in listed] if listed is not None else []
    there = f"; there are: {printable(', '.join(known))}" if known else ""
    if not name:
        raise _unusable(
            f"{printable(files)} has no current context: choose one with --context{there}"
        )
    if asked and asked not in known:
        raise _unusable(
            f'there is no context "{printable(asked, 80)}" in {printable(files)}{there}'
        )
    return str(name)


def _user(config: Any, chosen: Any) -> Any:
    """The entry of the user that a context names, if there is one."""
    name = chosen.safe_get("user")
    found = config["users"].get_with_name(name, safe=True) if name else None
    return None if found is None else found["user"]


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
