"""Types whose life is create, describe, update and delete: a recipe says which operations, the rest is the same."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from rayline_local.provisioner.adapters.adapter import AdapterFactory, Inputs, Made
from rayline_local.provisioner.adapters.requests import request_for
from rayline_local.provisioner.clients import Clients

Found = Mapping[str, Any]
Finder = Callable[[Any, Inputs, str | None], Found | None]
"""What the service says of a resource: by its id, or without one by what else tells it apart."""
ENDING = ("deleted", "deleting", "DELETED", "DELETING", "INACTIVE")


@dataclass(frozen=True)
class Recipe:
    """How one type is brought about.

    Attributes:
        service: boto3's name of the service.
        find: reads the resource.
        identity: the member of what ``find`` answers, or a template of its members and inputs, that is the id.
        create: the operation, or what calls it; empty for what another resource brings with it. One that puts
            serves for updates too, as ``update``.
        delete: the operation, and the member of its request that takes the id.
        update: the operation that takes the same inputs, or what calls it; without one only ``settle`` changes
            anything.
        update_by: the member of the update's request that takes the id.
        renamed: member of a request → the input of another name.
        settle: brings about what neither creating nor updating does, after both.
        outputs: output → template of the members of what ``find`` answers, ``id``, ``account``, ``region``.
    """

    service: str
    find: Finder
    identity: str
    create: str | Callable[[Any, Inputs], object]
    delete: tuple[str, str] | Callable[[Any, str, Inputs], object]
    update: str | Callable[[Any, Found, Inputs], object] = ""
    update_by: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    settle: Callable[[Any, Found, Inputs], object] | None = None
    outputs: Mapping[str, str] = field(default_factory=dict)
    more_outputs: Callable[[Any, Found], dict[str, Any]] | None = None
    replaced_by: frozenset[str] = frozenset()

    def adapter(self) -> AdapterFactory:
        """The factory of the type's adapter."""
        return partial(RecipeAdapter, self)


class RecipeAdapter:
    """Follows a recipe."""

    def __init__(self, recipe: Recipe, clients: Clients) -> None:
        self.replaced_by = recipe.replaced_by
        self._recipe = recipe
        self._client = clients.get(recipe.service)
        self._place = {"account": clients.account_id, "region": clients.region}

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        recipe = self._recipe
        found = self._find(inputs, existing_id)
        if found is None:
            found = self._make(inputs)
        elif recipe.update:
            self._change(found, inputs)
            found = self._found_again(inputs, self._id(found, inputs))
        if recipe.settle is not None:
            recipe.settle(self._client, found, inputs)
        return Made(self._id(found, inputs), self._outputs(found, inputs))

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return self._find(inputs, resource_id) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        recipe = self._recipe
        if self._find(inputs, resource_id) is None:
            return
        if callable(recipe.delete):
            recipe.delete(self._client, resource_id, inputs)
        else:
            operation, member = recipe.delete
            taken = self._client.meta.service_model.operation_model(operation).input_shape.members[member]
            self._call(operation, {member: [resource_id] if taken.type_name == "list" else resource_id})

    def _find(self, inputs: Inputs, resource_id: str | None) -> Found | None:
        try:
            found = self._recipe.find(self._client, inputs, resource_id)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 404):
                return None  # every service has its own code for what is not there
            raise
        return found or None

    def _change(self, found: Found, inputs: Inputs) -> None:
        recipe = self._recipe
        if callable(recipe.update):
            recipe.update(self._client, found, inputs)
            return
        request = self._request(recipe.update, inputs)
        if recipe.update_by:
            request[recipe.update_by] = self._id(found, inputs)
        self._call(recipe.update, request)

    def _make(self, inputs: Inputs) -> Found:
        recipe = self._recipe
        if not recipe.create:
            raise RuntimeError("nothing makes this by itself, and it is not there")
        if callable(recipe.create):
            answer = recipe.create(self._client, inputs)
        else:
            answer = self._call(recipe.create, {**self._request(recipe.create, inputs), **recipe.fixed})
        return self._found_again(inputs, _answered(answer, recipe.identity))

    def _found_again(self, inputs: Inputs, resource_id: str | None) -> Found:
        found = self._find(inputs, resource_id)
        if found is None:
            raise RuntimeError("the local cloud answered that it did, and did not")
        return found

    def _request(self, operation: str, inputs: Inputs) -> dict[str, Any]:
        return request_for(self._client, operation, inputs, self._recipe.renamed)

    def _call(self, operation: str, request: dict[str, Any]) -> Any:
        return call(self._client, operation, request)

    def _id(self, found: Found, inputs: Inputs) -> str:
        identity = self._recipe.identity
        if "{" in identity:
            return identity.format_map({**self._place, **inputs, **found})
        return str(found[identity])

    def _outputs(self, found: Found, inputs: Inputs) -> dict[str, Any]:
        recipe = self._recipe
        facts = {**self._place, **found, "id": self._id(found, inputs)}
        outputs: dict[str, Any] = {
            name: template.format_map(facts) for name, template in recipe.outputs.items()
        }
        if recipe.more_outputs is not None:
            outputs.update(recipe.more_outputs(self._client, found))
        return outputs


def _answered(answer: Any, identity: str) -> str | None:
    """The id that an operation's answer tells, at any depth, alone or as the first of a list."""
    if isinstance(answer, Mapping):
        if isinstance(answer.get(identity), str):
            return str(answer[identity])
        if ids := answer.get(f"{identity}s"):
            return str(ids[0])
        for each in answer.values():
            if (found := _answered(each, identity)) is not None:
                return found
    if isinstance(answer, list) and answer:
        return _answered(answer[0], identity)
    return None


def call(client: Any, operation: str, request: Mapping[str, Any]) -> Any:
    """Call an operation by AWS's name of it."""
    method = next(name for name, each in client.meta.method_to_api_mapping.items() if each == operation)
    return getattr(client, method)(**request)


def first(items: Iterable[Mapping[str, Any]]) -> Found | None:
    """The first of what a service answered, if it answered any."""
    return next(iter(items), None)


def listed(
    operation: str, items: str, identity: str, key: Callable[[Inputs], Mapping[str, Any]] | None = None
) -> Finder:
    """Finds a resource among all that an operation lists.

    Args:
        items: the member of the answer that holds them.
        identity: the member of an item that is the id.
        key: the members that tell a resource apart whose id is not known yet.
    """

    def find(client: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        wanted = {identity: resource_id} if resource_id else (key(inputs) if key else {})
        for item in call(client, operation, {})[items]:
            if str(item.get("State") or item.get("Status") or item.get("status") or "") in ENDING:
                continue
            seen = {**item, "Tags": {tag["Key"]: tag["Value"] for tag in item.get("Tags") or ()}}
            if wanted and all(_holds(seen.get(name), value) for name, value in wanted.items()):
                return seen
        return None

    return find


def _holds(seen: Any, wanted: Any) -> bool:
    """Whether what a service says is what is wanted; of tags, whether it has them."""
    if isinstance(wanted, Mapping) and isinstance(seen, Mapping):
        return all(seen.get(name) == value for name, value in wanted.items())
    return bool(seen == wanted)
