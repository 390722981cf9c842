"""What options that many commands share say, kept in the context of the command."""

from __future__ import annotations

from typing import Any

import attrs
import click

_SETTINGS = "nptables.settings"


def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
    """Keep the value of an option, so that commands need not pass it on; a callback of click."""
    context.meta.setdefault(_SETTINGS, {})[option.name] = value


def setting(name: str) -> Any:
    """What an option that was kept says, or None."""
    found: dict[str, Any] = click.get_current_context().meta.get(_SETTINGS, {})
    return found.get(name)


@attrs.frozen(eq=False, repr=False)
class AskedCluster:
    """The cluster that the command line names; false where it names none."""

    kubeconfig: str | None = None
    context: str | None = None

    def __bool__(self) -> bool:
        return self.kubeconfig is not None or self.context is not None


def asked_cluster() -> AskedCluster:
    """What --kubeconfig and --context say."""
    return AskedCluster(setting("kubeconfig"), setting("context"))


def asked_namespace() -> str | None:
    """What -n says."""
    found: str | None = setting("namespace")
    return found


def asks_for_all_namespaces() -> bool:
    """Whether -A is given."""
    return bool(setting("all_namespaces"))
