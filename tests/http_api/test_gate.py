"""Nobody passes who is not known; who is known passes only where he may; and no answer or log quotes the input."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from http_api.conftest import Api, authenticator
from support.manual_clock import ManualClock
from support.processor_estate import aws_error
from support.quarantined_site import QuarantinedSite

from rayline.http_api.access import (
    AuthenticationUnavailable,
    FirstThatKnows,
    NotAuthenticated,
    Permission,
    Principal,
)
from rayline.http_api.app import create_app, openapi_document
from rayline.http_api.bearer_tokens import BearerTokens, KnownToken, new_token
from rayline.http_api.gate import HEALTH_PATH
from rayline.http_api.limits import MOST_BODY_BYTES, Rate, RateLimit
from rayline.http_api.problems import Problem

ID = "0" * 32


def requests() -> list[tuple[str, str, Permission]]:
    """Every operation, with what it takes."""
    read, write = Permission.QUARANTINE_READ, Permission.QUARANTINE_WRITE
    return [
        ("GET", "/quarantine/entries", read),
        ("GET", "/quarantine/groups?by=reason", read),
        ("GET", f"/quarantine/entries/{ID}", read),
        ("GET", f"/quarantine/entries/{ID}/header", read),
        ("POST", f"/quarantine/entries/{ID}/release", write),
        ("POST", "/quarantine/requeue", write),
        ("POST", "/quarantine/purge", write),
    ]


def routes(app: Any) -> Iterator[tuple[str, str]]:
    """Method and path of every route that the schema shows."""
    for path, operations in app.openapi()["paths"].items():
        yield from ((method.upper(), path) for method in operations)


def test_every_operation_is_tried_here(api: Api) -> None:
    tried = {(method, path.partition("?")[0].replace(ID, "{entry_id}")) for method, path, _ in requests()}
    assert {(method, f"/api/v1{path}") for method, path in tried} == set(routes(api.app))


@pytest.mark.parametrize(("method", "path", "permission"), requests())
@pytest.mark.parametrize(
    "credentials",
    [
        {},
        {"Authorization": "Bearer nobodys-token"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic dG9rZW4tb2Ytd3JpdGVyOg=="},
        {"Authorization": "token-of-writer"},
        {"Authorization": "Bearer TOKEN-OF-WRITER"},
        {"Authorization": "Bearer token-of-writer token-of-reader"},
        {"X-Amzn-Oidc-Data": "e30.e30.e30", "X-Amzn-Oidc-Identity": "writer"},
        {"Cookie": "token=token-of-writer"},
    ],
)
def test_nobody_passes_without_credentials_that_hold(
    api: Api, method: str, path: str, permission: Permission, credentials: dict[str, str]
) -> None:
    answer = api.ask(None, method, path, headers=credentials)
    assert answer.status_code == 401
    assert answer.json()["code"] == "NOT_AUTHENTICATED"
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert "token-of" not in answer.text


@pytest.mark.parametrize(("method", "path", "permission"), requests())
def test_an_operation_takes_its_permission(api: Api, method: str, path: str, permission: Permission) -> None:
    body = {"filter": {"before": "2026-01-01T00:00:00Z"}} if method == "POST" else None
    refusing = {
        Permission.QUARANTINE_READ: ("nobody", "phi-only"),
        Permission.QUARANTINE_WRITE: ("nobody", "reader", "officer"),
    }
    for who in refusing[permission]:
        answer = api.ask(who, method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "PERMISSION_MISSING"), who
        assert permission.value in answer.json()["detail"]
    assert api.ask("writer", method, path, json=body).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/openapi.json", "/docs", "/nothing", "/quarantine", "/../secret"])
def test_paths_that_do_not_exist_are_not_told_of_to_strangers(api: Api, path: str) -> None:
    assert api.ask(None, "GET", path).status_code == 401
    assert api.ask("nobody", "GET", path).status_code in (200, 404)
    assert api.ask("nobody", "DELETE", path).status_code in (404, 405)


def test_only_the_health_check_is_open_and_says_nothing(api: Api) -> None:
    answer = api.ask(None, "GET", "/health")
    assert (answer.status_code, answer.content) == (204, b"")
    open_to_all = [
        route.path
        for route in api.app.routes
        if isinstance(route, APIRoute)
        and api.ask(None, "GET", route.path.removeprefix("/api/v1")).status_code != 401
    ]
    assert open_to_all == [HEALTH_PATH]


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Origin": "http://testserver"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[evil"}, False),
    ],
)
def test_pages_of_other_sites_change_nothing(api: Api, headers: dict[str, str], passes: bool) -> None:
    for path in ("/quarantine/requeue", f"/quarantine/entries/{ID}/release"):
        answer = api.ask("writer", "POST", path, json={}, headers=headers)
        assert (answer.status_code in (200, 404)) is passes
        assert passes or answer.json()["code"] == "CROSS_SITE"
    assert api.ask("writer", "GET", "/quarantine/entries", headers=headers).status_code == 200


def test_an_api_without_anybody_is_none() -> None:
    with pytest.raises(ValueError, match="nobody in"):
        FirstThatKnows([])


def test_a_body_is_not_looked_at_before_its_sender_is(api: Api) -> None:
    for body in (b"{", b"x" * (MOST_BODY_BYTES + 1)):
        answer = api.ask(None, "POST", "/quarantine/requeue", content=body)
        assert answer.status_code in (401, 413)
    assert api.ask(None, "POST", "/quarantine/requeue", content=b"{").status_code == 401


# -- what is wrong


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/quarantine/entries?limit=0", None, 422),
        ("GET", "/quarantine/entries?limit=DOE%5EJANE", None, 422),
        ("GET", "/quarantine/entries?since=DOE%5EJANE", None, 422),
        ("GET", "/quarantine/entries?since=2026-01-01T00:00:00", None, 422),
        ("GET", "/quarantine/entries?since=2026-13-01T00:00:00Z", None, 422),
        ("GET", "/quarantine/entries?cursor=DOE%5EJANE", None, 422),
        ("GET", "/quarantine/entries?cursor=RE9FXkpBTkU=", None, 422),
        ("GET", f"/quarantine/entries?reason={'DOE^JANE' * 10}", None, 422),
        ("GET", "/quarantine/groups?by=DOE%5EJANE", None, 422),
        ("GET", "/quarantine/groups", None, 422),
        ("GET", "/quarantine/entries/DOE%5EJANE", None, 422),
        ("GET", "/quarantine/entries/..%2F..%2Fparked", None, 404),
        ("GET", f"/quarantine/entries/{ID}?phi=DOE%5EJANE", None, 422),
        ("GET", f"/quarantine/entries/{ID}", None, 404),
        ("POST", f"/quarantine/entries/{ID}/release", None, 404),
        ("POST", "/quarantine/requeue", b'{"DOE^JANE": 1}', 422),
        ("POST", "/quarantine/requeue", b'{"filter": {"reason": ["DOE^JANE"]}}', 422),
        ("POST", "/quarantine/requeue", b'"DOE^JANE', 422),
        ("POST", "/quarantine/requeue", b"\xff\xfeDOE^JANE", 422),
        ("POST", "/quarantine/requeue", b"[" * 10_000, 422),
        ("POST", "/quarantine/purge", b'{"filter": {"before": "DOE^JANE"}}', 422),
        ("PUT", "/quarantine/requeue", b"DOE^JANE", 405),
        ("GET", "/DOE%5EJANE", None, 404),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_of_without_quoting_it(
    api: Api, capsys: pytest.CaptureFixture[str], method: str, path: str, body: bytes | None, status: int
) -> None:
    headers = {"Content-Type": "application/json"} if body else {}
    answer = api.ask("writer", method, path, content=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate(answer.json())
    assert (problem.status, problem.title) == (status, HTTPStatus(status).phrase)
    assert problem.detail
    logged = capsys.readouterr()
    for told in (answer.text, logged.out, logged.err):
        assert "DOE" not in told
        assert "JANE" not in told


def test_a_body_is_limited_whether_it_says_its_size_or_not(api: Api) -> None:
    large = b'{"filter": {"reason": "' + b"x" * MOST_BODY_BYTES + b'"}}'
    headers = {"Content-Type": "application/json"}
    said = api.ask("writer", "POST", "/quarantine/requeue", content=large, headers=headers)
    streamed = api.ask(
        "writer",
        "POST",
        "/quarantine/requeue",
        content=iter([large[:40_000], large[40_000:]]),
        headers=headers,
    )
    for answer in (said, streamed):
        assert (answer.status_code, answer.json()["code"]) == (413, "BODY_TOO_LARGE")


@pytest.mark.parametrize("error", ["client", "bug"])
def test_an_error_of_ours_is_answered_without_its_message(
    site: QuarantinedSite,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: str,
) -> None:
    def failing(**_: Any) -> None:
        raise aws_error("SlowDown") if error == "client" else KeyError("DOE^JANE")

    class Broken:
        def paginate(self, **_: Any) -> None:
            failing()

    monkeypatch.setattr(site.estate.clients.s3, "get_paginator", lambda _: Broken())
    answer = api.ask("reader", "GET", "/quarantine/entries")
    expected = (502, "AWS_FAILED") if error == "client" else (500, "INTERNAL_ERROR")
    assert (answer.status_code, answer.json()["code"]) == expected
    logged = capsys.readouterr()
    assert "api_request_failed" in logged.out + logged.err
    assert "DOE" not in answer.text + logged.out + logged.err


def test_answers_are_neither_kept_nor_sniffed(api: Api) -> None:
    for answer in (
        api.ask("reader", "GET", "/quarantine/entries"),
        api.ask(None, "GET", "/quarantine/entries"),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers


def test_the_log_has_who_and_which_route_and_no_query(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    api.get("reader", "/quarantine/entries", params={"study": "1.2.3.4711"})
    logged = "".join(capsys.readouterr())
    assert "route=/api/v1/quarantine/entries" in logged or '"route": "/api/v1/quarantine/entries"' in logged
    assert "reader" in logged
    assert "4711" not in logged


# -- who is known


def test_a_token_holds_until_it_expires(clock: ManualClock) -> None:
    token, digest = new_token()
    end = ManualClock(clock.now)
    end.pass_time(60)
    tokens = BearerTokens([KnownToken("anna", digest, frozenset(), end.now)], clock=clock)
    assert tokens.authenticate({"authorization": f"Bearer {token}"}) == Principal("anna", frozenset())
    assert tokens.authenticate({"authorization": f"bearer  {token} "}) is not None
    clock.pass_time(60)
    with pytest.raises(NotAuthenticated, match="expired"):
        tokens.authenticate({"authorization": f"Bearer {token}"})
    assert len(token) >= 43
    assert new_token() != new_token()


def test_who_cannot_be_checked_is_not_let_in(site: QuarantinedSite) -> None:
    class Away:
        def authenticate(self, headers: Any) -> Principal:
            raise AuthenticationUnavailable("the keys cannot be fetched")

    answer = TestClient(create_app(site.triage, FirstThatKnows([Away()]))).get("/api/v1/quarantine/entries")
    assert (answer.status_code, answer.json()["code"]) == (503, "AUTHENTICATION_UNAVAILABLE")


def test_refused_credentials_are_not_shown_to_the_next(clock: ManualClock) -> None:
    class Everybody:
        def authenticate(self, headers: Any) -> Principal:
            return Principal("everybody", frozenset(Permission))

    known = FirstThatKnows([BearerTokens([], clock=clock), Everybody()])
    with pytest.raises(NotAuthenticated):
        known.authenticate({"authorization": "Bearer wrong"})
    assert known.authenticate({}).name == "everybody"


def test_one_person_who_asks_too_often_waits_and_others_do_not(
    site: QuarantinedSite, clock: ManualClock
) -> None:
    api = Api(create_app(site.triage, authenticator(clock), rate=Rate(a_second=0.001, at_once=3)))
    answers = [api.ask("reader", "GET", "/quarantine/entries") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["code"] == "TOO_MANY_REQUESTS"
    assert answers[-1].headers["Retry-After"] == "1"
    assert api.ask("writer", "GET", "/quarantine/entries").status_code == 200


def test_a_rate_fills_up_again() -> None:
    now = [0.0]
    limit = RateLimit(Rate(a_second=2, at_once=4), lambda: now[0])
    assert [limit.allows("a") for _ in range(5)] == [True] * 4 + [False]
    now[0] += 0.5
    assert [limit.allows("a") for _ in range(2)] == [True, False]
    now[0] += 1_000
    assert [limit.allows("a") for _ in range(5)] == [True] * 4 + [False]


# -- the description


def test_the_description_is_for_those_who_are_known_and_whole(api: Api) -> None:
    document = api.get("nobody", "/openapi.json")
    assert document == json.loads(json.dumps(openapi_document()))
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    # What clients are made from: a name that goes, or another status, breaks them.
    assert set(operations) == {
        "listQuarantine", "groupQuarantine", "getQuarantineEntry", "getQuarantineHeader",
        "releaseQuarantineEntry", "requeueQuarantine", "purgeQuarantine",
    }  # fmt: skip
    for operation in operations.values():
        assert {"200", "401", "403", "404", "409", "413", "422", "429", "500", "502", "503"} == set(
            operation["responses"]
        )
        assert operation["description"]
        assert operation["security"] == [{"HTTPBearer": []}]
        schema = operation["responses"]["422"]["content"]["application/problem+json"]["schema"]
        assert schema == {"$ref": "#/components/schemas/Problem"}
    fields = document["components"]["schemas"]["QuarantineEntry"]["properties"]
    assert set(fields) == {
        "entryId", "site", "stage", "hook", "reason", "explanation", "study", "series", "quarantinedAt", "sizeBytes",
    }  # fmt: skip
    assert all("description" in field for field in fields.values())
