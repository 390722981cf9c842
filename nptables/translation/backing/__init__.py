"""What an input can know about the endpoints of a Service, and why it has none."""

from typing import TYPE_CHECKING

from nptables.lazily import imported_on_use

if TYPE_CHECKING:
    from nptables.translation.backing.causes import Cause, Related
    from nptables.translation.backing.certainty import Backed, backed
    from nptables.translation.backing.ports import port_causes
    from nptables.translation.backing.readiness import readiness_causes

__all__ = ["Backed", "Cause", "Related", "backed", "port_causes", "readiness_causes"]

# All endpoints of a whole cluster are known.
__getattr__ = imported_on_use(
    __name__,
    {
        "Backed": "nptables.translation.backing.certainty",
        "Cause": "nptables.translation.backing.causes",
        "Related": "nptables.translation.backing.causes",
        "backed": "nptables.translation.backing.certainty",
        "port_causes": "nptables.translation.backing.ports",
        "readiness_causes": "nptables.translation.backing.readiness",
    },
)
