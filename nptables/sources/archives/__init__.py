"""Archives and folders as a lazy sequence of named members: nothing is unpacked to disk."""

from nptables.sources.archives.budget import Budget, Damaged, Limits, Refused
from nptables.sources.archives.opening import Member, archive_members, is_archive

__all__ = [
    "Budget",
    "Damaged",
    "Limits",
    "Member",
    "Refused",
    "archive_members",
    "is_archive",
]
