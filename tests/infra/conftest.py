"""The resource graph of each stack: the whole program is run once per stack, to its end, under mocks."""

from collections.abc import Callable
from functools import cache

import pytest

from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph

STACKS = ("local", "dev", "prod")


@cache
def _planned(stack: str) -> Graph | Exception:
    # A refusal is kept too: every test of a stack that cannot be planned would otherwise plan it again.
    try:
        return plan(stack)
    except Exception as error:
        return error


def _graph(stack: str) -> Graph:
    planned = _planned(stack)
    if isinstance(planned, Exception):
        raise planned
    # Every assertion below runs over this list: an empty one would let them all pass.
    assert len(planned.resources) > 90, f"stack {stack} declared only {len(planned.resources)} resources"
    return planned


@pytest.fixture(scope="session")
def graph_of() -> Callable[[str], Graph]:
    """The graph of a stack by name."""
    return _graph


@pytest.fixture(params=STACKS)
def graph(request: pytest.FixtureRequest) -> Graph:
    """The graph of each stack in turn."""
    return _graph(request.param)
