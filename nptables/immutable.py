"""Immutable classes of attrs that cost less to make.

attrs writes `__eq__`, `__hash__` and `__repr__` of each class as Python code and compiles it. A
command imports a hundred classes and compares values of few: that was a sixth of the time that a
short command takes. Here these three methods are the same functions for all classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs

__all__ = ["frozen", "made", "many"]

T = TypeVar("T")

if TYPE_CHECKING:
    from attrs import frozen
else:

    def frozen(cls=None, *, slots=True, weakref_slot=True):
        """As `attrs.frozen`, of whose arguments there are two."""
        if cls is None:
            return partial(frozen, slots=slots, weakref_slot=weakref_slot)
        cls.__eq__, cls.__hash__ = _equal, _hash
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _repr
        return attrs.frozen(cls, eq=False, repr=False, slots=slots, weakref_slot=weakref_slot)


def made(cls: type[T], /, *values: Any, **named: Any) -> T:
    """An object of an immutable class, as `cls(...)`: a large one in a quarter of the time.

    An immutable object is given each of its fields by a function call. Here it is made as one of
    a class that has the same fields and may be changed, and becomes one of `cls` when it has them.
    The class must have no place for weak references, beside which the interpreter does not find
    that two classes have the same fields.
    """
    changeable = _changeable(cls)
    if changeable is None:
        return cls(*values, **named)
    found = changeable(*values, **named)
    found.__class__ = cls
    return cast("T", found)


def many(cls: type[T], *columns: Iterable[Any]) -> tuple[T, ...]:
    """As `tuple(map(cls, *columns))`, of objects that are made like those of `made`."""
    changeable = _changeable(cls)
    if changeable is None:
        return tuple(map(cls, *columns))
    found = tuple(map(changeable, *columns))
    for each in found:
        each.__class__ = cls
    return found


def _changeable(cls: type) -> Callable[..., Any] | None:
    """The class that may be changed; None for the first objects, which would not be worth it."""
    known = _CHANGEABLE.get(cls)
    if known is None:
        _ASKED[cls] = asked = _ASKED.get(cls, 0) + 1
        if asked <= _FEW:
            return None
        fields = {
            field.name: attrs.field(default=field.default, alias=field.alias)
            for field in attrs.fields(cls)
        }
        known = _CHANGEABLE[cls] = attrs.make_class(
            f"Changeable{cls.__name__}",
            fields,
            slots=True,
            eq=False,
            repr=False,
            weakref_slot=False,
        )
    return known


# Another class takes as long to make as some hundred objects.
_FEW = 50
_ASKED: dict[type, int] = {}
_CHANGEABLE: dict[type, Callable[..., Any]] = {}
_KEYS: dict[type, Any] = {}


def _key(cls: type) -> Any:
    """What gives the values of an object of a class that count in a comparison."""
    found = _KEYS.get(cls)
    if found is None:
        names = [field.name for field in attrs.fields(cls) if field.eq]
        found = _KEYS[cls] = attrgetter(*names) if names else type
    return found


def _equal(self: Any, other: object) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    key = _key(self.__class__)
    return key(self) == key(other)


def _hash(self: Any) -> int:
    return hash((self.__class__, _key(self.__class__)(self)))


def _repr(self: Any) -> str:
    cls = self.__class__
    shown = ", ".join(
        f"{field.name}={(field.repr if callable(field.repr) else repr)(getattr(self, field.name))}"
        for field in attrs.fields(cls)
        if field.repr
    )
    return f"{cls.__qualname__.rpartition('>.')[2]}({shown})"
