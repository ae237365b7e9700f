"""A clock that a test moves by hand."""

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Stands still until :meth:`pass_time`."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_time(self, seconds: float) -> None:
        """Move on."""
        self.now += timedelta(seconds=seconds)
