"""Calls in an interpreter of their own."""

import importlib.util
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

SECONDS = 120.0


def in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a module's function answers in an interpreter of its own, which has no threads yet.

    What forks is called so: in a process of tests, threads of other libraries hold locks now and then, and a lock
    that was held at a fork is held in the child for ever.
    """
    module = sys.modules[function.__module__]
    assert module.__file__ is not None
    finished = subprocess.run(
        [sys.executable, __file__, module.__name__, module.__file__, function.__name__],
        input=pickle.dumps(arguments),
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)},
        timeout=SECONDS,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr.decode()
    return pickle.loads(finished.stdout)


def main() -> None:
    """Import the module under the name that it has in the tests, and call its function."""
    name, path, function = sys.argv[1:]
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed meanwhile is no answer
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with answer:
        pickle.dump(getattr(module, function)(*pickle.load(sys.stdin.buffer)), answer)


if __name__ == "__main__":
    main()
