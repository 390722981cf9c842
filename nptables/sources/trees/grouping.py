"""Which plain files of a tree belong together: all of them, unless an object occurs twice.

The same object in several folders is meant for several clusters (dev, prod): each of these
folders is then a set of its own, as far up as they are apart. Within one folder files are put
together as long as no object occurs twice.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from nptables.immutable import frozen


@frozen
class Member:
    """A file: the folders above it and its name, and the objects in it.

    `claims` is what two objects cannot both have, where nothing says that they are meant for one
    cluster: it keeps folders apart, and not the files of one folder.
    """

    parts: tuple[str, ...]
    objects: frozenset[Hashable]
    claims: frozenset[Hashable] = frozenset()


@frozen
class Group:
    """Files that belong together, and the folder (or the file) that they are called after."""

    parts: tuple[str, ...]
    members: tuple[Member, ...]


def group(members: Sequence[Member], root: tuple[str, ...] = ()) -> list[Group]:
    """The groups of all members, all of them below `root`; each member is in exactly one."""
    rest, apart = _grouped(list(members), root)
    return [Group(root, tuple(rest)), *apart] if rest else apart


def _grouped(members: list[Member], at: tuple[str, ...]) -> tuple[list[Member], list[Group]]:
    """What may go together with the outside, and the groups that may not."""
    depth = len(at)
    own = [member for member in members if len(member.parts) == depth + 1]
    below: dict[str, list[Member]] = {}
    for member in members:
        if len(member.parts) > depth + 1:
            below.setdefault(member.parts[depth], []).append(member)
    together, apart = _in_one_folder(own)
    units = [(at, together)] if together else []
    for name, inner in below.items():
        rest, groups = _grouped(inner, (*at, name))
        apart += groups
        if rest:
            units.append(((*at, name), rest))
    owners: dict[Hashable, set[int]] = {}
    for number, (_, unit) in enumerate(units):
        for member in unit:
            for one in member.objects | member.claims:
                owners.setdefault(one, set()).add(number)
    clashing = {number for found in owners.values() if len(found) > 1 for number in found}
    apart += [Group(units[number][0], tuple(units[number][1])) for number in sorted(clashing)]
    rest = [m for number, (_, unit) in enumerate(units) if number not in clashing for m in unit]
    return rest, apart


def _in_one_folder(own: list[Member]) -> tuple[list[Member], list[Group]]:
    """The files of one folder: the first goes with all that have no object of it, and so on."""
    bundles: list[tuple[list[Member], set[Hashable]]] = []
    for member in own:
        for bundle, objects in bundles:
            if objects.isdisjoint(member.objects):
                bundle.append(member)
                objects.update(member.objects)
                break
        else:
            bundles.append(([member], set(member.objects)))
    if not bundles:
        return [], []
    return bundles[0][0], [Group(b[0].parts, tuple(b)) for b, _ in bundles[1:]]
