"""What the Pulumi program talks to in place of Pulumi's engine.

``Mocks.new_resource`` alone sees no parent, dependencies, protect or retain; the monitor sees the whole
registration.
"""

import hashlib
import json
import threading
from collections.abc import Mapping
from typing import Any, NoReturn, Protocol

from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockCallArgs, MockMonitor, MockResourceArgs, Mocks
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.sync_await import _ensure_event_loop, _sync_await

from rayline_infra.planning.errors import ProgramError
from rayline_infra.policies.graph import Resource

STACK_TYPE = "pulumi:pulumi:Stack"
SECRET_DIGEST = "secret-sha256"  # noqa: S105 - the name of a key


class Backend(Protocol):
    """What becomes of a declared resource: applied to a cloud, or only planned."""

    def register(self, resource: Resource, plain_inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Bring one resource about; answers its id and its outputs.

        ``plain_inputs`` hold secret inputs in clear, ``resource.inputs`` only their digests.
        """
        ...


class RecordingMonitor(MockMonitor):
    """Hands every registration to a backend, one at a time, and refuses what needs a provider."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(_NoMocks())
        self._backend = backend
        self.structure: list[Resource] = []
        """Components, which give the graph its shape and exist in no cloud."""
        # The SDK registers from several threads; boto3 clients and the state file want one.
        self._one_at_a_time = threading.Lock()

    def RegisterResource(self, request: Any) -> Any:
        """Register a resource and answer what the backend made of it."""
        urn = self.make_urn(request.parent, request.type, request.name)
        if request.type == STACK_TYPE:
            return resource_pb2.RegisterResourceResponse(urn=urn)
        _ensure_event_loop()  # type: ignore[no-untyped-call]
        plain, secret_names = _inputs(request)
        resource = Resource(
            urn=urn,
            type=request.type,
            name=request.name,
            custom=bool(request.custom),
            inputs={key: _digest(value) if key in secret_names else value for key, value in plain.items()},
            parent=request.parent,
            dependencies=tuple(sorted(request.dependencies)),
            protect=bool(request.protect),
            retain_on_delete=bool(request.retainOnDelete),
        )
        with self._one_at_a_time:
            self._refuse_twice(urn)
            identity, outputs = self._bring_about(resource, plain)
        self.resources[urn] = MockMonitor.ResourceRegistration(urn, identity, outputs)
        answer = _sync_await(rpc.serialize_properties(outputs, {}))
        return resource_pb2.RegisterResourceResponse(urn=urn, id=identity, object=answer)

    def _bring_about(self, resource: Resource, plain: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if resource.custom:
            return self._backend.register(resource, plain)
        self.structure.append(resource)
        return "", plain

    def Invoke(self, request: Any) -> NoReturn:
        """Refuse: without a provider a lookup would answer nothing, and the program would go on with None."""
        raise ProgramError(
            f"the program looks up {request.tok}, which nothing can answer without a provider; "
            "use a name from rayline.names or a setting instead"
        )

    def ReadResource(self, request: Any) -> NoReturn:
        """Refuse: nothing exists here that the program did not make."""
        raise ProgramError(
            f"the program reads an existing {request.type} named {request.name}; declare it instead"
        )

    def Call(self, request: Any) -> NoReturn:
        """Refuse: resource methods run in a provider."""
        raise ProgramError(
            f"the program calls {request.tok}, which needs a provider; build the value instead"
        )

    def _refuse_twice(self, urn: str) -> None:
        if urn in self.resources:
            raise ProgramError(f"the program declares {urn} twice; give one of them another name")


class _NoMocks(Mocks):
    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        raise ProgramError(f"the program calls {args.token}, which nothing can answer without a provider")

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        raise ProgramError(f"{args.typ} {args.name} came past the monitor")


def _inputs(request: Any) -> tuple[dict[str, Any], set[str]]:
    found = rpc.deserialize_properties(request.object)
    secret_names = {key for key, value in found.items() if rpc.is_rpc_secret(value)}
    return {key: rpc.unwrap_rpc_secret(value) for key, value in found.items()}, secret_names


def _digest(value: Any) -> dict[str, str]:
    text = json.dumps(value, sort_keys=True)
    return {SECRET_DIGEST: hashlib.sha256(text.encode()).hexdigest()}
