"""The router reads what botocore writes and writes what botocore reads, for every operation of HealthImaging."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import anyio
import pytest
from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import given, settings
from hypothesis import strategies as st

from rayline_local.front.rest import (
    Answer,
    Caller,
    HttpRequest,
    ModeledService,
    Permission,
    ServiceError,
    current_call,
    serialize_json_output,
    serialize_rest_output,
    validate_input,
)

HEALTHIMAGING = ServiceModel(Loader().load_service_model("medical-imaging", "service-2"), "medical-imaging")
SAGEMAKER = ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")
ID = "0123456789abcdef0123456789abcdef"


def values(shape: Shape) -> st.SearchStrategy[Any]:
    """Values of a shape's type; strings are free text, since parsing comes before validation."""
    if isinstance(shape, StructureShape):
        required = set(shape.metadata.get("required", ()))
        if shape.metadata.get("union"):
            return st.one_of(
                *(st.fixed_dictionaries({name: values(member)}) for name, member in shape.members.items())
            )
        return st.fixed_dictionaries(
            {name: values(member) for name, member in shape.members.items() if name in required},
            optional={name: values(member) for name, member in shape.members.items() if name not in required},
        )
    if isinstance(shape, ListShape):
        return st.lists(values(shape.member), min_size=1, max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(st.text("abc", min_size=1, max_size=4), values(shape.value), max_size=3)
    if shape.type_name == "timestamp":
        # Whole seconds: the query and header formats carry no fraction.
        return st.integers(0, 4_000_000_000).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
    if shape.type_name == "blob":
        return st.binary(min_size=1, max_size=20)
    if shape.type_name == "boolean":
        return st.booleans()
    if shape.type_name in ("integer", "long"):
        return st.integers(-1000, 1000)
    if shape.type_name in ("float", "double"):
        return st.floats(-1e6, 1e6, allow_nan=False)
    return st.text(
        st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cs"]), min_size=1
    )


class RecordingHost:
    """Lets everybody in and remembers what was asked."""

    def __init__(self) -> None:
        self.permissions: list[Permission] = []
        self.log: list[tuple[str, int, str | None]] = []
        self.throttled = 0
        self.refusal: ServiceError | None = None

    def authorize(self, request: HttpRequest, permissions: Any, service: str) -> Caller:
        if self.refusal is not None:
            raise self.refusal
        self.permissions.extend(permissions)
        return Caller("AKIDEXAMPLE", "arn:aws:iam::123456789012:root")

    def record_request(
        self, service: str, operation: str, caller: str, status: int, error: str | None, milliseconds: float
    ) -> None:
        self.log.append((operation, status, error))

    def take_fault(self, service: str, name: str) -> bool:
        if name == "throttle" and self.throttled > 0:
            self.throttled -= 1
            return True
        return False


class Echo(ModeledService):
    """Answers each operation with what the test gives it."""

    service_name = "medical-imaging"
    fault_name = "healthimaging"

    def __init__(self, host: RecordingHost) -> None:
        super().__init__(host)
        self.received: dict[str, Any] = {}
        self.answers: dict[str, Any] = {}
        self._handlers = {name: self._handler(name) for name in self.model.operation_names}

    def _handler(self, name: str) -> Any:
        async def handle(**members: Any) -> Any:
            self.received = members
            assert current_call().operation == name
            answer = self.answers.get(name, {})
            if isinstance(answer, Exception):
                raise answer
            return answer

        return handle


def wire(model: ServiceModel, operation: OperationModel, members: Mapping[str, Any]) -> HttpRequest:
    """The request that botocore would send."""
    serializer = create_serializer(str(model.metadata["protocol"]), include_validation=False)
    request = serializer.serialize_to_request(dict(members), operation)
    body = request.get("body") or b""
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    headers = {name.lower(): value for name, value in request["headers"].items()}
    query = urlencode(request.get("query_string") or {}, doseq=True)
    return HttpRequest(request["method"], request["url_path"], query, headers, [], content)


def read_back(model: ServiceModel, operation: OperationModel, answer: Answer) -> dict[str, Any]:
    """What botocore would hand to its caller."""
    assert isinstance(answer.body, bytes)
    response = {"status_code": answer.status, "headers": answer.headers, "body": answer.body}
    shape = operation.output_shape
    assert shape is not None
    if operation.has_streaming_output:

        class Stream:
            def __init__(self, content: bytes) -> None:
                self.content = content

        response["body"] = Stream(answer.body)
    parsed: dict[str, Any] = create_parser(str(model.metadata["protocol"])).parse(response, shape)
    parsed.pop("ResponseMetadata", None)
    return {name: value.content if hasattr(value, "content") else value for name, value in parsed.items()}


@pytest.mark.parametrize("name", sorted(HEALTHIMAGING.operation_names))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_reads_what_botocore_writes(name: str, data: st.DataObject) -> None:
    operation = HEALTHIMAGING.operation_model(name)
    assert operation.input_shape is not None
    members = data.draw(values(operation.input_shape))
    request = wire(HEALTHIMAGING, operation, members)
    service = Echo(RecordingHost())
    matched, labels = service._match(request)
    assert matched.name == name
    payload = operation.input_shape.serialization.get("payload")
    expected = (
        members if payload is None else {payload: {}, **members}
    )  # botocore sends `{}` for an absent one
    assert service._parse(matched, request, labels) == expected


@pytest.mark.parametrize("name", sorted(HEALTHIMAGING.operation_names))
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_writes_what_botocore_reads(name: str, data: st.DataObject) -> None:
    operation = HEALTHIMAGING.operation_model(name)
    assert operation.output_shape is not None
    output = data.draw(values(operation.output_shape))
    for header in ("contentType", "contentEncoding"):
        if header in output:
            output[header] = "application/json"
    parsed = read_back(HEALTHIMAGING, operation, serialize_rest_output(operation, output))
    if "contentType" not in output:
        parsed.pop("contentType", None)
    assert parsed == output


@pytest.mark.parametrize(
    "name",
    ["StartPipelineExecution", "CreateModelPackageGroup", "ListPipelineExecutions", "UpdateModelPackage"],
)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_json_protocol_round_trips(name: str, data: st.DataObject) -> None:
    operation = SAGEMAKER.operation_model(name)
    assert operation.input_shape is not None
    assert operation.output_shape is not None

    class Service(ModeledService):
        service_name = "sagemaker"
        fault_name = "sagemaker"

    members = data.draw(values(operation.input_shape))
    request = wire(SAGEMAKER, operation, members)
    service = Service(RecordingHost())
    matched, labels = service._match(request)
    assert matched.name == name
    assert service._parse(matched, request, labels) == members
    output = data.draw(values(operation.output_shape))
    assert read_back(SAGEMAKER, operation, serialize_json_output(operation, output, "1.1")) == output


def call(service: Echo, name: str, **members: Any) -> Answer:
    """Send one request through the whole service."""

    async def run() -> Answer:
        return await service.handle(wire(HEALTHIMAGING, HEALTHIMAGING.operation_model(name), members))

    return anyio.run(run)


def test_handler_gets_typed_members_and_its_call() -> None:
    service = Echo(RecordingHost())
    service.answers["SearchImageSets"] = {"imageSetsMetadataSummaries": []}
    start = datetime(2024, 5, 1, tzinfo=UTC)
    criteria = {"filters": [{"operator": "BETWEEN", "values": [{"createdAt": start}, {"createdAt": start}]}]}
    answer = call(service, "SearchImageSets", datastoreId=ID, maxResults=50, searchCriteria=criteria)
    assert answer.status == 200
    assert service.received == {"datastoreId": ID, "maxResults": 50, "searchCriteria": criteria}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"datastoreId": ID, "maxResults": 51}, "'/maxResults'"),
        ({"datastoreId": ID, "maxResults": 0}, "'/maxResults'"),
        ({"datastoreId": "NOT-AN-ID"}, "'/datastoreId'"),
        ({"datastoreId": ID, "searchCriteria": {"filters": []}}, "'/searchCriteria/filters'"),
        (
            {"datastoreId": ID, "searchCriteria": {"sort": {"sortOrder": "UP", "sortField": "createdAt"}}},
            "enum value set: [ASC, DESC]",
        ),
        (
            {
                "datastoreId": ID,
                "searchCriteria": {
                    "filters": [
                        {
                            "operator": "EQUAL",
                            "values": [{"DICOMPatientId": "PATIENT-7", "DICOMStudyId": "1"}],
                        }
                    ]
                },
            },
            "exactly one union member",
        ),
    ],
)
def test_refuses_what_the_model_forbids_without_quoting_values(
    members: dict[str, Any], expected: str
) -> None:
    answer = call(Echo(RecordingHost()), "SearchImageSets", **members)
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert isinstance(answer.body, bytes)
    message = json.loads(answer.body)["message"]
    assert expected in message
    assert "PATIENT-7" not in message


def test_missing_members_are_all_named() -> None:
    with pytest.raises(ServiceError) as caught:
        validate_input(HEALTHIMAGING.operation_model("StartDICOMImportJob"), {"datastoreId": ID})
    assert caught.value.code == "ValidationException"
    for name in ("dataAccessRoleArn", "clientToken", "inputS3Uri", "outputS3Uri"):
        assert f"/{name}'" in caught.value.message


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ValidationException", 400),
        ("ServiceQuotaExceededException", 402),
        ("AccessDeniedException", 403),
        ("ResourceNotFoundException", 404),
        ("NotAcceptableException", 406),
        ("ConflictException", 409),
        ("ThrottlingException", 429),
        ("InternalServerException", 500),
    ],
)
def test_errors_get_the_model_status(code: str, status: int) -> None:
    service = Echo(RecordingHost())
    service.answers["GetDatastore"] = ServiceError(code, "why")
    answer = call(service, "GetDatastore", datastoreId=ID)
    assert (answer.status, answer.headers["x-amzn-errortype"]) == (status, code)


def test_a_broken_handler_answers_500_and_does_not_leak_its_message() -> None:
    service = Echo(RecordingHost())
    service.answers["GetDatastore"] = RuntimeError("DOE^JANE")
    answer = call(service, "GetDatastore", datastoreId=ID)
    assert answer.status == 500
    assert isinstance(answer.body, bytes)
    assert b"DOE" not in answer.body


def test_an_output_that_the_model_does_not_know_is_an_error() -> None:
    service = Echo(RecordingHost())
    service.answers["DeleteDatastore"] = {"datastoreId": ID, "datastoreStatus": "DELETING", "extra": 1}
    assert call(service, "DeleteDatastore", datastoreId=ID).status == 500
    service.answers["DeleteDatastore"] = {"datastoreId": ID}
    assert call(service, "DeleteDatastore", datastoreId=ID).status == 500


def test_throttle_switch_counts_down() -> None:
    host = RecordingHost()
    host.throttled = 2
    service = Echo(host)
    service.answers["ListDatastores"] = {"datastoreSummaries": []}
    assert [call(service, "ListDatastores").status for _ in range(3)] == [429, 429, 200]
    assert [error for _, _, error in host.log] == ["ThrottlingException", "ThrottlingException", None]


def test_authorization_comes_before_validation() -> None:
    host = RecordingHost()
    host.refusal = ServiceError("AccessDeniedException", "no", 403)
    assert call(Echo(host), "SearchImageSets", datastoreId=ID, maxResults=99).status == 403


def test_unknown_paths_are_unknown_operations() -> None:
    service = Echo(RecordingHost())
    with pytest.raises(ServiceError) as caught:
        service._match(HttpRequest("PATCH", "/datastore", "", {}, [], b""))
    assert (caught.value.code, caught.value.status) == ("UnknownOperationException", 404)
