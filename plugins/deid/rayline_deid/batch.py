"""De-identify many files: what is done with each, and what has to be settled when all are done."""

import errno
import gc
import os
import stat
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from rayline.plugin import LocalFile, RejectedEvent
from rayline_deid import report
from rayline_deid.crosswalk import CrosswalkWriter
from rayline_deid.inputs import Input
from rayline_deid.journal import Journal
from rayline_deid.naming import IdentifyingRules, Identity, deidentify_and_identify, mirrored_name
from rayline_deid.outputs import Outputs
from rayline_deid.processes import Chunk, Stop, chunks_of, run_forked, run_here
from rayline_deid.report import Result

Layout = Literal["uid", "tree"]

_CHUNK_FILES: Final = 16
_BESIDE: Final = "another input has the same name for its output and another content; both are kept"
_THERE: Final = "the same output was there already"
# With one of these no other file can be written either.
_ENDS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@dataclass(frozen=True)
class Batch:
    """Files to be de-identified, and how.

    Attributes:
        outputs: None where nothing is to be written (a dry run).
        journal: what is in it is left out, and what is done is added.
    """

    inputs: Sequence[Input]
    rules: IdentifyingRules
    layout: Layout
    outputs: Outputs | None
    journal: Journal | None = None
    crosswalk: CrosswalkWriter | None = None

    def run(self, processes: int, progress: Callable[[int], None], stop: Stop) -> list[Result]:
        """Do all, and settle who has which name, so that the outcome is the same for any number of processes.

        Args:
            progress: told now and then how many more inputs are done.

        Returns:
            One result for each input, in their order.
        """
        found: dict[int, Result] = {}

        def collect(results: Sequence[Sequence[Any]]) -> None:
            for values in results:
                result = Result(*values)  # a tuple that travelled as JSON is a list
                found[result.number] = result
                if result.ends:
                    stop.request()
            progress(len(results))

        def died(chunk: Chunk) -> None:
            explanation = "the process that had this file was killed, perhaps for want of memory"
            for index in chunk:
                found[index] = Result(index, "failed", "", "", report.PROCESS_DIED, explanation)
            progress(len(chunk))

        def work(chunk: Chunk) -> list[Result]:
            return self._process(chunk, stop)

        chunks = chunks_of(len(self.inputs), processes, _CHUNK_FILES)
        # The records of a long run are no garbage, and looking through them for some takes time.
        gc.freeze()
        gc.set_threshold(50_000)
        if processes > 1 and hasattr(os, "fork"):
            run_forked(chunks, processes, work, collect, stop, died)
        else:
            run_here(chunks, work, collect, stop)
        if self.outputs is not None:
            settle(found, self.outputs)
        return [
            found.get(index) or Result(index, "not_done", explanation="the run ended before its turn")
            for index in range(len(self.inputs))
        ]

    def _process(self, chunk: Chunk, stop: Stop) -> list[Result]:
        results: list[Result] = []
        identities: list[Identity] = []
        done: list[tuple[str, str]] = []
        for index in chunk:
            if stop:
                break
            result, identity, token = self._deidentify(index)
            results.append(result)
            if identity is not None and result.output:
                identities.append(identity)
                done.append((token, result.output))
            if result.ends:
                break
        if self.outputs is None:
            return results
        # In this order: what the journal has is not looked at again, so the crosswalk must have it by then.
        try:
            if self.crosswalk is not None:
                self.crosswalk.add(identities)
            if self.journal is not None:
                self.journal.add(done)
        except OSError as error:
            explanation = (
                f"written, but not to the crosswalk or the journal: {os.strerror(error.errno or 0).lower()}"
            )
            return [
                result._replace(
                    outcome="failed", reason=report.RECORD_FAILED, explanation=explanation, ends=True
                )
                if result.output
                else result
                for result in results
            ]
        return results

    def _deidentify(self, index: int) -> tuple[Result, Identity | None, str]:
        file = self.inputs[index]
        token = ""
        try:
            status = os.stat(file.path)
            if stat.S_ISDIR(status.st_mode):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            if not stat.S_ISREG(status.st_mode):
                explanation = "neither a file nor a folder, e.g. a socket or a pipe"
                return Result(index, "refused", "", "", report.NOT_A_FILE, explanation), None, ""
            if self.journal is not None:
                token = self.journal.token(file.path, status)
                before = self.journal.output_of(token)
                if before is not None and (self.outputs is None or self.outputs.has(before)):
                    return Result(index, "done_before", before), None, token
            source = LocalFile(file.path)
        except OSError as error:
            return _failed(index, report.UNREADABLE, error), None, token
        size = source.size
        try:
            content, identity = deidentify_and_identify(source, self.rules)
            name = identity.file_name() if self.layout == "uid" else mirrored_name(file.relative)
            if self.outputs is None:
                return Result(index, "deidentified", name, name, "", "", size), identity, token
        except RejectedEvent as refused:
            source.close()
            return Result(index, "refused", "", "", refused.reason, refused.explanation, size), None, token
        except OSError as error:
            source.close()
            return _failed(index, report.UNREADABLE, error, size), None, token
        except Exception as error:
            source.close()
            # Its message may quote a value.
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
            explanation = f"an unexpected {where}; please report it"
            return Result(index, "failed", "", "", report.INTERNAL_ERROR, explanation, size), None, token
        try:
            placed, is_new = self.outputs.place(content, name)
        except OSError as error:
            return _failed(index, report.OUTPUT_FAILED, error, size), None, token
        finally:
            source.close()
        written = content.size if is_new else 0
        outcome: report.Outcome = "deidentified" if is_new else "duplicate"
        return Result(index, outcome, placed, name, "", "", size, written), identity, token


def _failed(index: int, reason: str, error: OSError, size: int = 0) -> Result:
    explanation = os.strerror(error.errno).lower() if error.errno else type(error).__name__
    ends = reason == report.OUTPUT_FAILED and error.errno in _ENDS
    return Result(index, "failed", "", "", reason, explanation, size, 0, ends)


def settle(found: dict[int, Result], outputs: Outputs) -> None:
    """Give each name that several inputs wanted to the first of them, whichever process came first.

    The same content counts as written by its first input, and as a duplicate for the others. Other contents stand
    beside it, under names that come from their content.
    """
    wanted: dict[str, list[Result]] = defaultdict(list)
    for result in found.values():
        if result.name and result.outcome in ("deidentified", "duplicate"):
            wanted[result.name].append(result)
    for name, results in wanted.items():
        if len(results) == 1 and results[0].output == name:
            continue
        results.sort()
        contents: dict[str, list[Result]] = defaultdict(list)
        for result in results:
            contents[result.output].append(result)
        places = {output: output for output in contents}
        first = results[0].output
        written_now = any(result.outcome == "deidentified" for result in contents.get(name, ()))
        if first != name and written_now:
            places |= {first: name, name: outputs.exchange(name, first)}
        for output, same in contents.items():
            is_new = any(result.outcome == "deidentified" for result in same)
            size = max(result.written_bytes for result in same)
            for number, result in enumerate(same):
                is_first = is_new and number == 0
                beside = places[output] != name
                found[result.number] = result._replace(
                    output=places[output],
                    outcome="deidentified" if is_first else "duplicate",
                    written_bytes=size if is_first else 0,
                    reason=report.OTHER_CONTENT if beside else "",
                    explanation=_BESIDE if beside else "" if is_first else _THERE,
                )
