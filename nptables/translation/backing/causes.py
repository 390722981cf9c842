"""A cause: what stands where on both sides, and the line to write."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nptables.errors import Path
from nptables.immutable import frozen
from nptables.model import Service
from nptables.model.backing import Backing
from nptables.model.workloads import Workload
from nptables.words import listed

_LISTED = 4


@frozen
class Related:
    """Another object that a cause is about, with its place as far as it is known."""

    subject: str
    file: str
    line: int | None


@frozen
class Cause:
    """Why a Service has no endpoint, or not the ones that are meant.

    `code` is stable. `text` says what stands where, `fix` what to write. `kind`, `namespace`,
    `name` and `path` are the object to look at first; `related` is the other side.
    """

    code: str
    text: str
    fix: str
    kind: str
    namespace: str
    name: str
    path: Path
    related: tuple[Related, ...] = ()

    def __str__(self) -> str:
        return f"{self.text}; {self.fix}" if self.fix else self.text


@frozen
class Speaker:
    """Makes the causes of one Service, with the places of both sides."""

    service: Service
    backing: Backing

    def cause(
        self, code: str, text: str, fix: str, path: Path, *related: tuple[Workload, Path]
    ) -> Cause:
        """A cause that belongs to a field of the Service."""
        service = self.service
        sides = [self.related(workload, where) for workload, where in related]
        return Cause(
            code,
            text,
            fix,
            "Service",
            service.namespace,
            service.name,
            path,
            tuple(side for side in sides if side is not None),
        )

    def related(self, workload: Workload, path: Path) -> Related | None:
        """The place of a field of a workload, where it is known."""
        found = self.backing.place(workload.kind, workload.namespace, workload.name, path)
        return None if found is None else Related(workload.subject, found[0], found[1])

    def here(self, *path: str | int) -> str:
        """File and line of a field of the Service, in brackets."""
        return self.backing.where("Service", self.service.namespace, self.service.name, path)

    def there(self, workload: Workload, path: Path) -> str:
        """File and line of a field of a workload, in brackets."""
        return self.backing.where(workload.kind, workload.namespace, workload.name, path)


def whose(workload: Workload) -> str:
    """The Pods of a workload, as people name them."""
    return workload.subject if workload.kind == "Pod" else f"the Pods of {workload.subject}"


def pairs(labels: Mapping[str, str]) -> str:
    """Labels as a selector writes them."""
    return ",".join(f"{key}={value}" for key, value in labels.items())


def some(items: Iterable[str]) -> str:
    """The first few of a list, and how many more there are."""
    return listed(dict.fromkeys(items), _LISTED)
