"""The API of one site in memory, and people who may do this or that."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate
from support.quarantined_site import QuarantinedSite

from rayline.http_api.access import FirstThatKnows, Permission
from rayline.http_api.app import create_app
from rayline.http_api.bearer_tokens import BearerTokens, KnownToken
from rayline.http_api.limits import Rate

PEOPLE = {
    "nobody": frozenset[Permission](),
    "reader": frozenset({Permission.QUARANTINE_READ}),
    "writer": frozenset({Permission.QUARANTINE_READ, Permission.QUARANTINE_WRITE}),
    "officer": frozenset({Permission.QUARANTINE_READ, Permission.PHI_READ}),
    "phi-only": frozenset({Permission.PHI_READ}),
}


class Api:
    """A client for each of those people."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self._client = TestClient(app, raise_server_exceptions=False)

    def ask(self, who: str | None, method: str, path: str, **more: Any) -> Any:
        """Send a request below ``/api/v1``."""
        headers = {"Authorization": f"Bearer token-of-{who}"} if who else {}
        return self._client.request(
            method, f"/api/v1{path}", headers={**headers, **more.pop("headers", {})}, **more
        )

    def get(self, who: str | None, path: str, **more: Any) -> Any:
        """Get what must be there."""
        answer = self.ask(who, "GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, who: str | None, path: str, body: Any = None) -> Any:
        """Post what must be taken."""
        answer = self.ask(who, "POST", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def site(clock: ManualClock, tmp_path: Path) -> QuarantinedSite:
    return QuarantinedSite(ProcessorEstate(InMemoryCloud(clock), tmp_path), clock)


def authenticator(clock: ManualClock) -> FirstThatKnows:
    """Knows the people above by their tokens."""
    tokens = [
        KnownToken(name, hashlib.sha256(f"token-of-{name}".encode()).hexdigest(), permissions)
        for name, permissions in PEOPLE.items()
    ]
    return FirstThatKnows([BearerTokens(tokens, clock=clock)])


@pytest.fixture
def api(site: QuarantinedSite, clock: ManualClock) -> Api:
    return Api(create_app(site.triage, authenticator(clock), rate=Rate(1_000, 1_000)))
