"""`nptables audit`: which nodes of a cluster do what the cluster says."""

from __future__ import annotations

import click

from nptables.auditing import GRACE, Options
from nptables.checks.codes import OTHER_CONFIGURATION
from nptables.cli.bundles import mention_age
from nptables.cli.completion import FILE
from nptables.cli.fleet.judging import judge_folder
from nptables.cli.fleet.report import Report, print_report
from nptables.cli.forms import forms_of
from nptables.cli.forms.sarif import docs_url_option
from nptables.cli.manifests import names_a_cluster, read_manifests
from nptables.cli.options import manifest_options
from nptables.cli.output import say
from nptables.cli.repository import settings_options
from nptables.cli.versions import asked, version_option
from nptables.errors import InvalidInput, Problem
from nptables.model.durations import parse_duration
from nptables.sources import find_config
from nptables.sources.fleet.locations import Place, place_at
from nptables.sources.fleet.reading import (
    Collection,
    bundles_with_objects,
    missing_in,
    read_collection,
)

_INTERRUPTED = 130


def _seconds(context: click.Context, option: click.Parameter, value: str) -> float:  # noqa: ARG001
    """A duration such as 10s."""
    found = parse_duration(value)
    if found is None or found < 0:
        raise click.BadParameter(f'"{value}" is not a duration: write 10s or 2m')
    return found


@click.command("audit")
@manifest_options
@click.option(
    "--snapshots",
    "folder",
    required=True,
    metavar="DIR",
    type=click.Path(),
    help="What `nptables collect` made, or a folder with a file for each node, named after it: a "
    "snapshot, or what iptables-save printed; or with bundles of any names, such as sos reports. "
    "Also a URL that fsspec knows, as in s3://bucket/fleet.",
)
@click.option(
    "--config",
    "config_path",
    type=FILE,
    metavar="FILE",
    help="The KubeProxyConfiguration of the nodes whose snapshots do not contain theirs.",
)
@version_option
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="The number of processes.  [default: one for each processor]",
)
@click.option(
    "--dask",
    "dask_address",
    metavar="ADDRESS",
    help="Judge nodes on the Dask cluster of this scheduler (extra `fleet`), as in "
    "tcp://10.0.0.5:8786.",
)
@click.option(
    "--grace",
    default=f"{GRACE:g}s",
    show_default=True,
    metavar="DURATION",
    callback=_seconds,
    help="With FILEs: ignore differences of a Service that changed less than this before the node "
    "was read.",
)
@docs_url_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "html", *forms_of("findings")]),
    default="text",
    show_default=True,
)
@settings_options
def command(
    *,
    folder: str,
    files: tuple[str, ...],
    more_files: tuple[str, ...],
    lenient: bool,
    config_path: str | None,
    workers: int | None,
    dask_address: str | None,
    grace: float,
    output: str,
) -> int:
    """Find the nodes of a cluster whose rules treat packets wrongly; exit 1 if there are any.

    Each node is compared with what its own kube-proxy should have programmed, in its version and
    with its configuration. The cluster's objects are those that `collect` saved, those of FILEs, or
    those of a bundle among the snapshots.
    """
    place = place_at(folder)
    if not names_a_cluster(files, more_files):
        files = bundles_with_objects(place)
    if names_a_cluster(files, more_files):
        loaded = read_manifests(files, more_files, lenient=lenient)
        mention_age(loaded)
        missing = missing_in(place, loaded.cluster)
        found = Collection(loaded.cluster, (), loaded.proxy_config, missing)
        watched = False
    else:
        found, watched = _collected(place), True
    configuration = found.configuration
    if config_path is not None:
        configuration = find_config(config_path).value
    options = Options(configuration, asked() or "", found.movements, watched, grace)
    results, whole = judge_folder(found, options, place, workers, dask=dask_address)
    report = Report.of(results, whole=whole)
    print_report(report, output)
    if configuration is None and report.is_on_all(OTHER_CONFIGURATION):
        say("all nodes differ in it: name the configuration of kube-proxy with --config")
    if not whole:
        say("interrupted: this is what was found so far", kind="warning")
        return _INTERRUPTED
    return 0 if all(result.verdict.healthy for result in results) else 1


def _collected(folder: Place) -> Collection:
    found = read_collection(folder)
    if found is None:
        raise InvalidInput(
            [
                Problem(
                    "holds no objects of a cluster",
                    hint="name them as FILEs, or let `nptables collect` make the folder",
                    file=str(folder),
                )
            ]
        )
    return found
