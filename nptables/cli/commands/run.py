"""`nptables run`: keep this node in sync with its cluster."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nptables.answering.versions import read_for
from nptables.cli.completion import FILE, contexts
from nptables.cli.options import family_options, find_configuration
from nptables.cli.versions import asked, told_here, version_option
from nptables.errors import InvalidInput, Problem
from nptables.family import Family
from nptables.gcpause import collector_paused
from nptables.kernel.tables.choosing import BACKENDS
from nptables.model import ProxyConfig, names
from nptables.model.durations import parse_duration
from nptables.model.kubeproxy import VERSIONS, Version
from nptables.signals import Signals
from nptables.sources import FoundConfig

if TYPE_CHECKING:
    _Seconds = click.ParamType[float]
else:
    _Seconds = click.ParamType  # generic from click 8.4 on


class Duration(_Seconds):
    """A duration as KubeProxyConfiguration writes it."""

    name = "DURATION"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """The seconds in `30s` or `1m30s`."""
        if isinstance(value, int | float):
            return float(value)
        found = parse_duration(str(value))
        if not found:
            self.fail(f"{value!r} is not a duration above zero, such as 30s or 1m30s", param, ctx)
        return found


@click.command("run")
@click.option(
    "--node",
    "node_name",
    metavar="NAME",
    help="The name of this node's Node object.  [default: hostnameOverride, else the host's name]",
)
@click.option(
    "--config",
    "config_path",
    type=FILE,
    metavar="FILE",
    help="The KubeProxyConfiguration. SIGHUP makes the agent read it again.",
)
@version_option
@click.option(
    "--kubeconfig",
    type=FILE,
    metavar="FILE",
    help="The kubeconfig of the API server.  [default: clientConnection.kubeconfig, else the Pod's "
    "service account, else that of kubectl]",
)
@click.option(
    "--context",
    metavar="NAME",
    shell_complete=contexts,
    help="The context of the kubeconfig.",
)
@click.option(
    "--mode",
    type=click.Choice(["sync", "observe"]),
    default="sync",
    show_default=True,
    help="sync: write the rules. observe: write nothing, open no port, report rules that differ.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="auto",
    show_default=True,
    help="The iptables backend.",
)
@family_options("both")
@click.option(
    "--check-period",
    type=Duration(),
    help="How often to check for flushed tables and missing jumps.  [default: syncPeriod]",
)
@click.option(
    "--verify-period",
    type=Duration(),
    default="5m",
    show_default=True,
    help="How often to compare the whole tables and repair them.",
)
@click.option(
    "--listen/--no-listen",
    default=None,
    help="Serve health probes and metrics at the addresses in the configuration.  [default: only "
    "in mode sync]",
)
@click.option(
    "--prepare/--no-prepare",
    default=True,
    show_default=True,
    help="Set the sysctls, conntrack settings and counters that the configuration asks for.",
)
@click.option("--cleanup-on-exit", is_flag=True, help="Remove the rules when the agent stops.")
@click.option("--force", is_flag=True, help="Run although another proxy runs here.")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default="/run/nptables",
    show_default=True,
    help="The folder of the lock and the status socket. Only one agent can run in it.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="auto: text on a terminal, else one JSON object per line.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log every sync.")
@click.option("-q", "--quiet", is_flag=True, help="Log warnings and errors only.")
@click.pass_obj
def command(
    signals: Signals,
    *,
    node_name: str | None,
    config_path: str | None,
    kubeconfig: str | None,
    context: str | None,
    mode: str,
    backend: str,
    family: Family | None,
    check_period: float | None,
    verify_period: float,
    listen: bool | None,
    prepare: bool,
    cleanup_on_exit: bool,
    force: bool,
    run_dir: Path,
    log_format: str,
    verbose: bool,
    quiet: bool,
) -> int:
    """Keep this node's rules in sync with the cluster until SIGTERM.

    The rules stay when the agent stops. Log lines go to standard error.
    """
    with collector_paused():
        from nptables.agent import Options  # noqa: PLC0415 - only this command needs the agent
        from nptables.agent.process import Log  # noqa: PLC0415
        from nptables.agent.running import Settings, run  # noqa: PLC0415
        from nptables.kernel.node.kube_proxy import find_kube_proxy  # noqa: PLC0415

    found = find_configuration(config_path)
    running, text = find_kube_proxy(), asked()
    here = told_here() if text is None and running else None
    if here is not None:
        text = here.text
    config = _read_for_any(found, text)
    log = Log(
        sys.stderr,
        level="debug" if verbose else "warning" if quiet else "info",
        as_json=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()),
        wall=time.time,
    )
    settings = Settings(
        node_name=_node_name(node_name, config),
        config=config,
        config_for=lambda version: read_for(found, version),
        read_config=lambda version: _read_again(config_path, version),
        version=None if text is None else config.version,
        options=Options(
            observe=mode == "observe", check_period=check_period, verify_period=verify_period
        ),
        run_folder=run_dir,
        kubeconfig=kubeconfig,
        context=context,
        backend=backend,
        families=tuple(Family) if family is None else (family,),
        listen=mode == "sync" if listen is None else listen,
        prepare_node=prepare,
        cleanup_on_exit=cleanup_on_exit,
        force=force,
        kube_proxy=running,
        told="" if here is None else here.text,
    )
    return run(settings, log, signals)


def _read_for_any(found: FoundConfig | None, version: str | None) -> ProxyConfig:
    """The configuration for a version; without one, for the newest that takes it.

    Which version the node has is not known before its Node object is.
    """
    if version is not None or found is None:
        return read_for(found, version)
    try:
        return read_for(found, None)
    except InvalidInput:
        for older in reversed(VERSIONS):
            with contextlib.suppress(InvalidInput):
                return read_for(found, older)
        raise


def _read_again(path: str | None, version: Version) -> ProxyConfig:
    if path == "-":
        raise InvalidInput(
            [Problem("standard input cannot be read again", hint="name a file with --config")]
        )
    return read_for(find_configuration(path), version)


def _node_name(given: str | None, config: ProxyConfig) -> str:
    name = given or config.hostname_override or socket.gethostname().strip().lower()
    if not names.is_subdomain(name):
        raise InvalidInput([Problem(f'"{name}" is not a node name', hint=names.SUBDOMAIN_HINT)])
    return name
