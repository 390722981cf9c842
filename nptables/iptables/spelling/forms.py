"""What a table of printed forms is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from nptables.family import Family
from nptables.immutable import frozen
from nptables.iptables import values
from nptables.iptables.rule import Option
from nptables.iptables.values import FULL_MARK, Unsettled

Words = tuple[str, ...]
ValueForm = Callable[[Words, Family], Words]
Named = dict[str, Option]


@frozen
class Forms:
    """The printed form of one extension.

    `values` maps an option to a function for its words; `whole` then sees all options together: it
    drops what is not printed, adds defaults that are, and replaces one option by another.
    """

    values: Mapping[str, ValueForm] = attrs.field(factory=dict)
    whole: Callable[[Named, Family], Named] | None = None


def text(form: Callable[[str], str]) -> ValueForm:
    """A form for one word."""
    return lambda words, _family: (form(words[0]),)


def in_family(form: Callable[[str, Family], str]) -> ValueForm:
    """A form for one word that is read differently for IPv4 and IPv6."""
    return lambda words, family: (form(words[0], family),)


def lists(*order: str) -> ValueForm:
    """A form for a list of names that is printed in this order."""
    return lambda words, _family: (values.listed(words[0], order),)


def dropped(options: Named, name: str, value: str) -> None:
    """Drop an option that is not printed with this value."""
    option = options.get(name)
    if option is not None and option.value == value:
        if option.negated:
            raise Unsettled(name)
        del options[name]


def default(options: Named, name: str, value: str) -> None:
    """Add an option that is printed although nobody gave it."""
    options.setdefault(name, Option(name, (value,) if value else ()))


def dscp(old: str, new: str) -> Callable[[Named, Family], Named]:
    """The form of an option pair, by class and by number, of which the number is printed."""

    def by_number(options: Named, _family: Family) -> Named:
        """Classes are printed by their number (`dscp_save`, `DSCP_save`)."""
        if set(options) not in ({old}, {new}):
            raise Unsettled("dscp")
        (option,) = options.values()
        return {new: Option(new, (values.dscp(option.value),), option.negated)}

    return by_number


def set_mark(options: Named, _family: Family) -> Named:
    """Every way to set bits is printed as value and mask of `--set-xmark`.

    `mark_tg_parse` in libxt_MARK.c: OR sets the bits of a mask, AND clears the others, XOR has an
    empty mask, and `--set-mark` clears the bits of both its words.
    """
    names = [name for name in options if name.endswith("-mark") or name == "--set-xmark"]
    if len(options) != 1 or len(names) != 1:
        raise Unsettled("more than one way to set a mark")
    (name,) = names
    option = options[name]
    if name in ("--set-xmark", "--set-mark"):
        value, mask = values.mark_and_mask(option.value)
        if name == "--set-mark":
            mask |= value
    elif name == "--or-mark":
        value = mask = values.number(option.value)
    elif name == "--and-mark":
        value, mask = 0, ~values.number(option.value) & FULL_MARK
    elif name == "--xor-mark":
        value, mask = values.number(option.value), 0
    else:
        raise Unsettled(name)
    return {"--set-xmark": Option("--set-xmark", (f"{value:#x}/{mask:#x}",))}
