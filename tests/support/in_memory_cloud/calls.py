"""A boto3 client's outside: parameters checked by botocore's own models, pages, errors, and a step around each call.

The step is where a test acts: a process dies before or after its k-th call, an answer is lost, a service throttles.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.exceptions import ClientError, ParamValidationError
from botocore.handlers import handle_copy_source_param
from botocore.model import OperationModel, ServiceModel
from botocore.validate import ParamValidator

_VALIDATOR = ParamValidator()
_STATUS_OF = {
    "InternalServerError": 500,
    "InvalidRange": 416,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "PreconditionFailed": 412,
    "SlowDown": 503,
}


@dataclass(frozen=True)
class Call:
    """One call of one client."""

    service: str
    operation: str
    request: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


class Steps:
    """What happens around the calls of one process; this one lets every call pass."""

    def take(self, call: Call, act: Callable[[], Any]) -> Any:
        """Make the call, or do what the test wants instead."""
        return act()


@lru_cache
def _operations(service: str) -> dict[str, OperationModel]:
    model: ServiceModel = botocore.session.get_session().get_service_model(service)
    return {xform_name(name): model.operation_model(name) for name in model.operation_names}


@lru_cache
def _pages(service: str) -> dict[str, Any]:
    loader = botocore.session.get_session().get_component("data_loader")
    pages = loader.load_service_model(service, "paginators-1")["pagination"]
    return {xform_name(name): config for name, config in pages.items()}


def aws_error(code: str, message: str = "told", operation: str = "Operation", **more: Any) -> ClientError:
    """An error as botocore raises it; ``more`` are fields beside ``Error``, as some services add."""
    status = _STATUS_OF.get(code, 400)
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RetryAttempts": 0},
        **more,
    }
    return ClientError(response, operation)


class SteppedClient:
    """A real client with a step around each call, pages too."""

    def __init__(self, name: str, client: Any, steps: Steps) -> None:
        self._name = name
        self._client = client
        self._steps = steps

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        act = getattr(self._client, operation)

        def call(**request: Any) -> Any:
            return self._steps.take(Call(self._name, operation, request), lambda: act(**request))

        return call

    def get_paginator(self, operation: str) -> "FakePaginator":
        """Pages of an operation, by botocore's own description of its tokens."""
        return FakePaginator(getattr(self, operation), _pages(self._name)[operation])


class FakeClient(SteppedClient):
    """A client of one service in memory, whose operations are methods of ``service`` under boto3's names."""

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        models = _operations(self._name)
        if operation not in models:
            raise AttributeError(operation)
        act = getattr(self._client, operation, None)
        model = models[operation]

        def call(**request: Any) -> Any:
            if act is None:
                raise NotImplementedError(f"the in-memory cloud has no {self._name}.{operation}; add it")
            handle_copy_source_param(request)
            _check(model, request)
            _fill_tokens(model, request)
            return self._steps.take(Call(self._name, operation, request), lambda: act(**request))

        return call


_TOKENS = count(1)


def _check(model: OperationModel, request: dict[str, Any]) -> None:
    assert model.input_shape is not None
    report = _VALIDATOR.validate(request, model.input_shape)
    if report.has_errors():
        raise ParamValidationError(report=report.generate_report())


def _fill_tokens(model: OperationModel, request: dict[str, Any]) -> None:
    """An idempotency token that the caller left out is made up by botocore, once for all attempts of a call."""
    for name in model.idempotent_members:
        request.setdefault(name, f"botocore-{next(_TOKENS)}")


class FakePaginator:
    """Asks page by page."""

    def __init__(self, operation: Callable[..., Any], config: Mapping[str, Any]) -> None:
        self._operation = operation
        self._limit_key = config.get("limit_key")
        self._ins, self._outs = _listed(config["input_token"]), _listed(config["output_token"])

    def paginate(
        self, *, PaginationConfig: Mapping[str, Any] | None = None, **request: Any
    ) -> Iterator[dict[str, Any]]:
        """Every page."""
        for name, value in (PaginationConfig or {}).items():
            if name != "PageSize" or self._limit_key is None:
                raise NotImplementedError(f"PaginationConfig {name}")
            request[self._limit_key] = value
        while True:
            page = self._operation(**request)
            yield page
            tokens = [page.get(out.split(" || ")[0].strip()) for out in self._outs]
            if not any(tokens):
                return
            request |= {name: token for name, token in zip(self._ins, tokens, strict=True) if token}


def _listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]
