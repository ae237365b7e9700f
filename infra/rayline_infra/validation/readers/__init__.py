"""One reader for each type: it yields a clause for whatever is not as declared, and raises Absent for what is not."""

from collections.abc import Callable, Iterable, Mapping

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Account
from rayline_infra.validation.readers import access, buckets, doors, guards, keeping, messages, running

__all__ = ["READERS", "Reader"]

Reader = Callable[[Account, Resource], Iterable[str]]

READERS: Mapping[str, Reader] = {
    **buckets.READERS,
    **messages.READERS,
    **keeping.READERS,
    **access.READERS,
    **running.READERS,
    **doors.READERS,
    **guards.READERS,
}
