"""Rule lines for property tests: what people write, and what they might write."""

from __future__ import annotations

from hypothesis import strategies as st

from nptables.family import Family
from nptables.iptables import words
from nptables.iptables.tables import MATCHES, TARGETS, Options

FAMILIES = st.sampled_from(Family)

_WORD = st.one_of(
    st.sampled_from(
        [
            "1",
            "0x10",
            "80",
            "10.0.0.1",
            "10.0.0.0/8",
            "fd00::1",
            "tcp",
            "LOCAL",
            "NEW",
            "foo",
            "1:2",
        ]
    ),
    st.text(st.characters(codec="utf-8", exclude_characters="\0\n"), min_size=1, max_size=12),
).map(lambda text: "x" if text == "!" else text)
_CHAIN = st.from_regex(r"[A-Z][A-Z0-9-]{0,27}", fullmatch=True)


@st.composite
def _options(draw: st.DrawFn, known: Options) -> str:
    parts: list[str] = []
    for name in draw(
        st.lists(st.sampled_from(sorted(known)), max_size=4) if known else st.just([])
    ):
        spec = known[name]
        if draw(st.booleans()):
            parts.append("!")
        parts.append(name)
        count = draw(st.integers(0, 1)) if spec.words is None else spec.words
        for word in draw(st.lists(_WORD, min_size=count, max_size=count)):
            quoted = word.startswith("-") or draw(st.booleans())
            parts.append(words.save_string(word) if quoted else words.bare(word))
    return " ".join(parts)


@st.composite
def _base(draw: st.DrawFn) -> list[str]:
    networks = st.sampled_from(["10.1.2.3", "10.1.2.3/8", "0.0.0.0/0", "FD00::1", "::/0"])
    values = {
        "-s": networks,
        "-d": networks,
        "-i": st.sampled_from(["eth0", "cali+", "+"]),
        "-o": st.sampled_from(["eth0", "docker0"]),
        "-p": st.sampled_from(["tcp", "TCP", "6", "udp", "17", "all", "132", "icmp", "58"]),
    }
    chosen = draw(st.lists(st.sampled_from(sorted(values)), unique=True))
    return [f"{draw(st.sampled_from(['', '! ']))}{name} {draw(values[name])}" for name in chosen]


@st.composite
def lines(draw: st.DrawFn) -> str:
    """A rule line with matches and a target that iptables has, and values of any kind."""
    parts = ["-A", draw(_CHAIN), *draw(_base())]
    for name in draw(st.lists(st.sampled_from(sorted(MATCHES)), max_size=3)):
        parts += [f"-m {name}", draw(_options(MATCHES[name]))]
    target = draw(st.one_of(st.none(), st.sampled_from(sorted(TARGETS)), _CHAIN))
    if target is not None:
        parts += [f"-j {target}", draw(_options(TARGETS.get(target, {})))]
    return " ".join(filter(None, parts))


@st.composite
def option_orders(draw: st.DrawFn) -> tuple[str, str]:
    """Two lines for IPv4 that differ in the order of iptables' own options only."""
    base = ["-s 10.1.2.3", "! -d 10.1.2.3/8", "-i cali+", "! -o eth0", "-p TCP"]
    chosen = draw(st.lists(st.sampled_from(base), unique=True))
    rest = draw(
        st.sampled_from(["-m comment --comment x -j ACCEPT", "-j DROP", "-j MARK --or-mark 1"])
    )
    chain = draw(_CHAIN)
    return (
        " ".join(["-A", chain, *chosen, rest]),
        " ".join(["-A", chain, *draw(st.permutations(chosen)), rest]),
    )
