"""Whatever can bear tags says what it belongs to; what a tag would replace keeps the tags that it has."""

import json
from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, absent, judged
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import datastores

PROVIDER = "pulumi:providers:aws"
WANTED = frozenset({"application", "stack", "site"})
DATASTORE_TAGS = frozenset({"application", "zone"})


def everything_is_tagged(graph: Graph) -> Iterator[Observation]:
    """The provider tags whatever AWS lets it tag in place, with what it belongs to."""
    providers = graph.of_type(PROVIDER)
    if not providers:
        yield absent("provider", "no provider with default tags is declared")
    for provider in providers:
        found = provider.inputs.get("defaultTags") or "{}"
        tags = (json.loads(found) if isinstance(found, str) else found).get("tags", {})
        yield judged(provider, set(tags) >= WANTED, f"defaultTags = {', '.join(sorted(tags)) or 'none'}")


def no_tag_overrides(graph: Graph) -> Iterator[Observation]:
    """No resource says otherwise of what it belongs to."""
    for resource in graph.resources:
        tags = resource.inputs.get("tags")
        if isinstance(tags, dict) and tags:
            wrong = sorted(set(tags) & WANTED)
            yield judged(resource, not wrong, f"own tags: {', '.join(sorted(tags))}")


def the_datastores_tags_are_fixed(graph: Graph) -> Iterator[Observation]:
    """A data store's tags never vary with the stack's settings: CloudFormation replaces it when they change."""
    for store in datastores(graph):
        tags = json.loads(str(store.inputs["desiredState"])).get("Tags", {})
        yield judged(store, set(tags) == DATASTORE_TAGS, f"Tags = {', '.join(sorted(tags))}, fixed")


def tasks_bear_tags(graph: Graph) -> Iterator[Observation]:
    """Tasks get their service's tags; the provider cannot tag what ECS starts."""
    for service in graph.of_type("aws:ecs/service:Service"):
        source = service.inputs.get("propagateTags")
        yield judged(service, source in ("SERVICE", "TASK_DEFINITION"), f"propagateTags = {source}")


CONTROLS = (
    Control(
        "TAG-1",
        "Everything says what it belongs to",
        ("164.310(d)(2)(iii)",),
        "medium",
        "default tags of the provider",
        everything_is_tagged,
    ),
    Control(
        "TAG-2",
        "No resource says otherwise",
        ("164.310(d)(2)(iii)",),
        "low",
        "tags of resources",
        no_tag_overrides,
    ),
    Control(
        "TAG-3",
        "The data store's tags are fixed",
        ("164.312(c)(1)", "164.310(d)(2)(iii)"),
        "critical",
        "data stores",
        the_datastores_tags_are_fixed,
    ),
    Control(
        "TAG-4",
        "Tasks bear the tags of their service",
        ("164.310(d)(2)(iii)",),
        "low",
        "ECS services",
        tasks_bear_tags,
    ),
)
