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


@cache
def _serving_production() -> Graph:
    return plan("prod", overrides={"rayline:endpoint": "true"})


@pytest.fixture(params=STACKS)
def serving(request: pytest.FixtureRequest) -> Graph:
    """Each stack in turn with an endpoint, which prod leaves out until something calls it."""
    return _serving_production() if request.param == "prod" else _graph(request.param)


# Wherever a setting of prod takes a part in or leaves it out, a site might have decided otherwise.
OTHERWISE = {
    "rayline:natGateways": "2",
    "rayline:hospitalAttachment": "transit-gateway",
    "rayline:transitGatewayId": "tgw-0123456789abcdef0",
    "rayline:hospitalCidrs": '["10.200.0.0/16"]',
    "rayline:replicaRegion": "",
    "rayline:originalArchive": "false",
    "rayline:endpoint": "true",
    "rayline:dimseTls": "true",
    "rayline:processorSpot": "true",
    "rayline:singleSignOn": "saml",
    "rayline:samlMetadataUrl": "https://login.example.org/metadata.xml",
    "rayline:alertPagerUrls": '["https://events.example.org/enqueue"]',
    "rayline:alertPhones": '["+15555550100"]',
    "rayline:slackWorkspaceId": "T0123ABCD",
    "rayline:slackChannelId": "C0123ABCD",
    "rayline:pluginSecrets": '["pacs-tls"]',
    "rayline:config": "create",
    "rayline:guardDuty": "create",
    "rayline:accessAnalyzer": "create",
}


@pytest.fixture(scope="session")
def otherwise() -> Graph:
    """The production stack of a site that wants every optional part otherwise."""
    return plan("prod", overrides=OTHERWISE)
