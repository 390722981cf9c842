"""Programs that run, what kube-proxy logs, and sets, as programs print them."""

from __future__ import annotations

import re

from nptables.evidence.node import Process
from nptables.evidence.processes import HANDLERS
from nptables.evidence.secrets import without_secrets

KUBE_PROXY = "kube-proxy"
# `ps aux`, with or without the tree of `ps f`: user, pid, nine columns, the command line.
_AUX = re.compile(
    r"^\S+ +(\d+) +[\d.]+ +[\d.]+ +\d+ +\d+ +\S+ +\S+ +\S+(?: \d\d)? +\d+:\d\d(?::\d\d)? +(.*)$"
)
_TREE = re.compile(r"^[\s|]*\\_ +")
# The first line of a log says the version, a later one the mode; klog of several ages, which
# docker has kept as JSON.
_VERSION = re.compile(r'(?:"Version info\\?" version=\\?"|\] Version: )(v\d[^"\s\\]{0,60})')
_MODE = re.compile(r"\bUsing (iptables|ipvs|nftables) [Pp]roxier\b")
_OVERRIDE = re.compile(r'FLAG: --hostname-override=\\?"([^"\s\\]{1,253})\\?"')
_LISTED = re.compile(r"^Name: (\S+)$", re.MULTILINE)


def processes_shown(text: str) -> tuple[Process, ...]:
    """The programs that may handle Services, from `ps aux` in any width that is whole."""
    found = []
    for line in text.splitlines():
        row = _AUX.match(line)
        if row is None:
            continue
        words = _TREE.sub("", row[2]).split()
        name = words[0].rpartition("/")[2] if words else ""
        # k3s renames its process so, and ps shows what it was started as.
        if name in ("k3s", "rke2") and words[1:2] and words[1] in ("server", "agent"):
            name = f"{name}-{words[1]}" if name == "k3s" else name
        if name in HANDLERS:
            found.append(Process(name, int(row[1]), without_secrets(words[1:])))
    return tuple(sorted(found, key=lambda process: process.pid))


def kube_proxy_logged(text: str) -> Process | None:
    """What a kube-proxy says of itself in its log: its version, its mode; None for no such log."""
    version, modes = _VERSION.search(text), _MODE.findall(text)
    if version is None and not modes:
        return None
    override = _OVERRIDE.search(text)
    arguments = (f"--hostname-override={override[1]}",) if override else ()
    return Process(
        KUBE_PROXY,
        arguments=arguments,
        mode=modes[-1] if modes else "",
        version=version[1] if version else "",
    )


def sets_shown(text: str) -> str:
    """The lines of `ipset save`, also where only what `ipset list` prints is there."""
    saved = [line for line in text.splitlines() if re.match(r"(?:create|add) \S+ \S", line)]
    if not saved:
        saved = [line for part in _lists(text) for line in part]
    return "".join(f"{line}\n" for line in saved)


def _lists(text: str) -> list[list[str]]:
    """What `ipset list` prints, set by set, as lines of `ipset save`."""
    found = []
    pieces = _LISTED.split(text)[1:]
    for name, body in zip(pieces[::2], pieces[1::2], strict=True):
        kind = re.search(r"^Type: (\S+)$", body, re.MULTILINE)
        header = re.search(r"^Header: (.*)$", body, re.MULTILINE)
        if kind is None:
            continue
        members = body.partition("\nMembers:\n")[2].split("\n\n")[0]
        options = header[1].strip() if header else ""
        found.append(
            [
                f"create {name} {kind[1]} {options}".rstrip(),
                *(f"add {name} {line.strip()}" for line in members.splitlines() if line.strip()),
            ]
        )
    return found
