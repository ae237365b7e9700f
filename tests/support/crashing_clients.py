"""AWS clients whose k-th call kills the worker, so that a test can crash it between any two calls."""

from typing import Any

from rayline.aws import Clients

NAMES = ("s3", "dynamodb", "sqs", "events", "medical_imaging", "sagemaker")


class Crash(BaseException):
    """The worker died here; no handler of the code under test may see it."""


class Fuse:
    """Blows before the call of a given number, once."""

    def __init__(self, at_call: int | None = None) -> None:
        self._at_call = at_call
        self.calls = 0

    @property
    def blown(self) -> bool:
        """Whether the worker died."""
        return self._at_call is not None and self.calls >= self._at_call

    def burn(self) -> None:
        """Count a call.

        Raises:
            Crash: this was the one.
        """
        self.calls += 1
        if self.calls == self._at_call:
            raise Crash


class _Fused:
    def __init__(self, client: Any, fuse: Fuse) -> None:
        self._client = client
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if not callable(attribute):
            return attribute

        def call(*arguments: Any, **named: Any) -> Any:
            self._fuse.burn()
            return attribute(*arguments, **named)

        return call


def crashing(clients: Clients, fuse: Fuse) -> Clients:
    """The same clients behind a fuse."""
    fused = Clients()
    for name in NAMES:
        fused.__dict__[name] = _Fused(getattr(clients, name), fuse)
    return fused
