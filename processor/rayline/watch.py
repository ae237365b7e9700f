"""What a worker tells its supervisor, so that an overrun or a crash can be ended, blamed and recorded."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from rayline.events import EventIdentity


class Watch(Protocol):
    """Reports which effects a worker holds and which call it is in."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """The worker claimed effects of an event."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """The worker is in a call; calls nest, and the innermost that overruns is to blame."""


class Unwatched:
    """No supervisor: nothing is reported and nothing is killed."""

    def holding(self, identity: EventIdentity, effects: Sequence[str], token: str) -> None:
        """Report nothing."""

    def calling(self, effect: str, timeout_seconds: float) -> AbstractContextManager[None]:
        """Report nothing."""
        return nullcontext()
