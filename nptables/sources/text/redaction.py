"""Values that a program redacted in a text before it was shared.

Some programs put the same token for the same value: these are followed, each as an address of its
own that no node has. A token that may stand for several values, and one with a prefix length behind
it, whose bits nobody knows, stay as they are: whoever reads them does not understand them.

The tokens are those of must-gather-clean (`x-ipv4-0000000001-x`, with a prefix in newer versions,
`x-mac-0000000001-x`; pkg/obfuscator of openshift/must-gather-clean) and of troubleshoot
(`***TOKEN_IP_1A2B3C***`, `***HIDDEN***`; pkg/redact of replicatedhq/troubleshoot). `sos clean`
writes addresses in the place of addresses, which are read as such.
"""

from __future__ import annotations

import re

from nptables.immutable import frozen
from nptables.sources.text.tokens import may_hide_values

# IPv4: 241.0.0.0/8 of what is reserved; IPv6: a part of the discard prefix 100::/64.
_PREFIXES = ("241", "100::f1:0")
_CONSISTENT = re.compile(
    r"(?<![\w*])(?:(?:x-mgc[\w-]*?-)?x-ipv([46])-([0-9]{1,10})-x"
    r"|\*\*\*TOKEN_(?:IP|IPV4|IPV4_ADDRESS)_([0-9A-Za-z]+)\*\*\*)(?![\w*])(/[0-9]{1,3})?"
)
_MAC = re.compile(r"(?<![\w*])(?:x-mgc[\w-]*?-)?x-mac-([0-9]{1,10})-x(?![\w*])")
# What stands for any value: asterisks, or as many x as an address has numbers.
HIDDEN = (
    r"(?:\*\*\*[A-Z][A-Z0-9_]*\*\*\*|xxx\.xxx\.xxx\.xxx|xx:xx:xx:xx:xx:xx|xxxx(?::x+){7}"
    r"|(?:x-mgc[\w-]*?-)?x-(?:ipv[46]|mac)-[0-9]{1,10}-x)"
)
_HIDDEN = re.compile(rf"(?<![\w*]){HIDDEN}(?![\w*])")
_FULL = {"4": "/32", "6": "/128"}
MOST = 2**24
_OF_SOS = re.compile(r"\bobfuscated(?:domain|word|user)\d+|\b53:4f:53(?::[0-9a-f]{2}){3}\b")
_PARTS_OF_SOS = ("obfuscated", "53:4f:53:")


@frozen
class Redaction:
    """What was found: how many values are followed, and how many texts stand for any value.

    `first` is a token and the address that it was given. `is_of_sos` says that `sos clean` made the
    text.
    """

    followed: int = 0
    hidden: int = 0
    first: tuple[str, str] | None = None
    is_of_sos: bool = False

    def __bool__(self) -> bool:
        """Whether anything was taken out of the text."""
        return bool(self.followed or self.hidden or self.is_of_sos)


def followed(text: str) -> tuple[str, Redaction]:
    """The text with an address for each token that stands for one, and what was found."""
    # The expression alone would look at each place of a text where a word begins.
    is_of_sos = any(part in text for part in _PARTS_OF_SOS) and _OF_SOS.search(text) is not None
    if not may_hide_values(text):
        return text, Redaction(is_of_sos=is_of_sos)
    tokens: dict[str, str] = {}
    given: dict[str, str] = {}

    def address(found: re.Match[str]) -> str:
        family, number, name, length = found.groups()
        token = found[0].removesuffix(length or "")
        if length not in (None, _FULL[family or "4"]):
            return found[0]
        place = _place(family or "4", int(number) if number else number_of(name))
        if not place or place in text or given.setdefault(place, token) != token:
            return found[0]
        tokens[token] = place
        return place + (length or "")

    replaced = _CONSISTENT.sub(address, text)
    replaced = _MAC.sub(lambda m: _mac(int(m[1])), replaced)
    return replaced, Redaction(
        len(tokens),
        sum(1 for _ in _HIDDEN.finditer(replaced)),
        next(iter(tokens.items()), None),
        is_of_sos,
    )


def number_of(name: str) -> int:
    """A number below MOST for a name that has none; the odds that two have the same are small."""
    import hashlib  # noqa: PLC0415 - few texts hide anything

    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:3], "big")


def _place(family: str, number: int) -> str:
    """The address of a token, the same in every text; empty where there are too many."""
    if not 0 < number < MOST:
        return ""
    return made_up_address(_PREFIXES, number, six=family == "6")


def made_up_address(prefixes: tuple[str, str], number: int, *, six: bool) -> str:
    """The address of that number, which is below MOST, behind a prefix of IPv4 or of IPv6."""
    four_prefix, six_prefix = prefixes
    if six:
        return f"{six_prefix}:{number >> 16:x}:{number & 0xFFFF:x}"
    return f"{four_prefix}.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def _mac(number: int) -> str:
    # 02 marks an address that no maker gave (IEEE 802, locally administered).
    octets = number.to_bytes(5, "big")
    return ":".join(f"{each:02x}" for each in (0x02, *octets))


_RULE = re.compile(r"((?:\[\d+:\d+\] )?-A (\S+)) (.*)")
_PIECE = re.compile(r'(?:! )?(?:"(?:\\.|[^"\\])*"|[^"])+?(?=$| (?:! )?-(?:[sdiopmjgf])(?: |$))')


def with_open_rules(text: str) -> str:
    """Rules of a dump in which a value is hidden, with placeholder words for it."""
    if not _HIDDEN.search(text):
        return text
    return "\n".join(map(_open_line, text.split("\n")))


def _open_line(line: str) -> str:
    if _HIDDEN.search(line) is None:
        return line
    if _HIDDEN.fullmatch(line.strip()):
        return "..."
    rule = _RULE.fullmatch(line.rstrip("\r"))
    if rule is None:
        return line
    pieces = [found[0].strip() for found in _PIECE.finditer(rule[3])]
    return " ".join([rule[1], *map(_open_piece, pieces)])


def _open_piece(piece: str) -> str:
    """A match, a target or an address as it is, or as a placeholder."""
    if _HIDDEN.search(piece) is None or piece.startswith("-m comment "):
        return piece
    # Most texts hide nothing.
    from nptables.iptables.unshown import UNREAD_MATCH, UNREAD_TARGET  # noqa: PLC0415
    from nptables.iptables.words import always_quoted  # noqa: PLC0415

    if piece.startswith(("-j ", "-g ")):
        return f"-j {UNREAD_TARGET} --words {always_quoted(piece)}"
    return f"-m {UNREAD_MATCH} --words {always_quoted(piece)}"
