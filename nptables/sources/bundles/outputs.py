"""Output of commands that a collector keeps under arbitrary names."""

from __future__ import annotations

import json
import re

import attrs

from nptables.sources.bundles.finding import Bundle, Piece
from nptables.sources.bundles.layouts import Holds, Part

_INFO = "-info.json"
# By what an output looks like, what it holds; the first that fits has it.
_LOOKS: tuple[tuple[re.Pattern[str], Holds], ...] = (
    (re.compile(r"^\*(?:nat|filter|mangle|raw|security)$", re.MULTILINE), Holds.DUMP),
    (re.compile(r"^Chain \S+ \(", re.MULTILINE), Holds.LISTING),
    (re.compile(r"^table (?:ip6?|inet) \S+ \{|^\{ ?\"nftables\"", re.MULTILINE), Holds.NFT),
    (re.compile(r"^-[PNA] \S+", re.MULTILINE), Holds.DUMP),
    (re.compile(r"^\d+: \S+?:? +(?:<[A-Z]|inet)", re.MULTILINE), Holds.ADDRESSES),
    (re.compile(r"^\S+: flags=\d|^\S+ +Link encap:", re.MULTILINE), Holds.ADDRESSES),
    (re.compile(r"^(?:default|[\da-f.:]+(?:/\d+)?) (?:via|dev) \S", re.MULTILINE), Holds.ROUTES),
    (re.compile(r"^create \S+ (?:hash|list|bitmap):", re.MULTILINE), Holds.SETS),
    (re.compile(r"^net[./]ipv4[./]\S+ ?= ?", re.MULTILINE), Holds.SETTINGS),
    (
        re.compile(r"^(?:ipv[46] +\d+ +)?(?:tcp|udp) +\d+ +\d+ .*src=", re.MULTILINE),
        Holds.CONNECTIONS,
    ),
    (re.compile(r"^(?:UID|USER) +PID ", re.MULTILINE), Holds.PROCESSES),
    (re.compile(r"^Linux \S+ \d\S* #?\d", re.MULTILINE), Holds.KERNEL),
    (re.compile(r"\A\s*[A-Za-z0-9][\w.-]*\s*\Z"), Holds.HOSTNAME),
)
_BEGINNING = 200_000


def sorted_out(bundle: Bundle) -> Bundle:
    """The bundle with each output as what it holds, by how it looks and by its command."""
    commands = {
        piece.name.removesuffix(_INFO): _command(piece) for piece in bundle.of(Holds.COMMAND)
    }
    pieces = []
    for piece in bundle.pieces:
        if piece.part.holds is not Holds.OUTPUT:
            pieces.append(piece)
            continue
        text = piece.data[:_BEGINNING].decode("utf-8", "replace")
        holds = next((holds for looks, holds in _LOOKS if looks.search(text)), None)
        if holds is not None:
            pieces.append(_known(piece, holds, commands.get(piece.name.rpartition(".")[0], "")))
    parts = tuple(dict.fromkeys(piece.part for piece in pieces))
    layout = attrs.evolve(bundle.layout, parts=(*bundle.layout.parts, *parts))
    return attrs.evolve(bundle, layout=layout, pieces=tuple(pieces))


def _known(piece: Piece, holds: Holds, command: str) -> Piece:
    name = f"{command} {piece.name.rpartition('/')[2]}"
    six = "6" if re.search(r"ip6tables|-6\b", name) else ""
    table = re.search(r"(?:-t |--table[ =]|[-_.])(nat|filter|mangle|raw|security)\b", name)
    part = Part(piece.part.pattern, holds, "", "IPv6" if six and holds is Holds.ROUTES else "")
    told = {**piece.told, "table": table[1] if table else ""}
    if re.search(r"ip6?tables", name):
        told["six"] = six
    return attrs.evolve(piece, part=part, told=told)


def _command(piece: Piece) -> str:
    """The command line in what troubleshoot says of a command that it ran on a host."""
    try:
        value = json.loads(piece.data)
    except (ValueError, RecursionError):
        return ""
    command = value.get("command") if isinstance(value, dict) else None
    return command if isinstance(command, str) and len(command) < 1000 else ""
