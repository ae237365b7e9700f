"""Live progress of the demo, a line per stage."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column


class Display:
    """A bar per stage on a terminal; elsewhere, a plain line when a stage is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._tasks: dict[str, tuple[TaskID, int]] = {}
        self._done: set[str] = set()
        self._progress = Progress(
            TextColumn("{task.description}", table_column=Column(no_wrap=True, min_width=9)),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True)),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> "Display":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, stage: str, total: int) -> None:
        """Show a stage that has ``total`` steps to go."""
        self._tasks[stage] = (self._progress.add_task(stage, total=total, note=""), total)

    def advance(self, stage: str, completed: int) -> None:
        """Show how far a stage is."""
        task, total = self._tasks[stage]
        self._progress.update(task, completed=completed)
        if completed >= total and stage not in self._done:
            self._done.add(stage)
            if not self._console.is_terminal:
                self._console.print(f"{stage}: {completed}", highlight=False)

    def say(self, stage: str, note: str) -> None:
        """Show a note beside a stage."""
        task, _ = self._tasks[stage]
        self._progress.update(task, note=note)
