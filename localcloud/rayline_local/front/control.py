"""The front's own paths under `/_rayline/`: health, status, role credentials, fault switches, request log."""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from rayline_infra.policies.trust import SERVICE_OF_ROLE
from rayline_local.front import emulator
from rayline_local.front.rest import HttpRequest, Send, ServiceError, send_response
from rayline_local.front.services import Cloud

CONTROL_PREFIX = "/_rayline/"
EVENT_TRAIL_LENGTH = 20_000
# What assumes each role; those that are not here are assumed by people of the account.
SERVICE_PRINCIPALS: Mapping[str, str] = {str(kind): name for kind, name in SERVICE_OF_ROLE.items()}
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


class ControlPaths:
    """Answers `/_rayline/*`; only from loopback host names, so that no web page can reach it by DNS
    rebinding.
    """

    def __init__(self, cloud: Cloud, pid: int) -> None:
        self._cloud = cloud
        self._pid = pid
        self._event_entries: deque[Any] = deque(maxlen=EVENT_TRAIL_LENGTH)
        self.ready = False

    def deliver_late_events(self) -> None:
        """Deliver what a fault switch holds back, before the services stop."""
        self._cloud.deliver_late_events()

    def keep_event_entries(self, body: bytes) -> None:
        """Remember the entries of a PutEvents request, whether or not EventBridge takes them."""
        try:
            self._event_entries.extend(json.loads(body)["Entries"])
        except (ValueError, KeyError, TypeError):
            return

    async def answer(self, request: HttpRequest, send: Send) -> None:
        """Answer one request with a JSON document."""
        status, document = self._route(request)
        headers = {"content-type": "application/json", "cache-control": "no-store"}
        await send_response(send, status, headers, json.dumps(document).encode())

    def _route(self, request: HttpRequest) -> tuple[int, Any]:
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if host not in LOOPBACK_HOSTS:
            return 403, {"message": "use a loopback host name"}
        path = request.raw_path.removeprefix(CONTROL_PREFIX)
        if request.method == "GET":
            if path == "health":
                return (200 if self.ready else 503), {"ready": self.ready, "pid": self._pid}
            if path == "status":
                return 200, self._status()
            if path.startswith("credentials/"):
                return self._credentials(path.removeprefix("credentials/"), request)
            if path == "faults":
                return 200, self._cloud.fault_document()
            if path == "faults/struck":
                return 200, self._cloud.faults_struck()
            if path == "events":
                return 200, {"entries": list(self._event_entries)}
            if path == "grants":
                return 200, [asdict(grant) for grant in self._cloud.observed_grants.all()]
            if path == "requests":
                return 200, self._cloud.request_log()
            if path == "requests/accepted":
                return 200, self._cloud.accepted_log()
        if request.method == "PUT" and path == "faults":
            return self._set_faults(request.body)
        return 404, {"message": "not found"}

    def _status(self) -> dict[str, Any]:
        cloud = self._cloud
        return {
            "ready": self.ready,
            "pid": self._pid,
            "account_id": cloud.account_id,
            "region": cloud.region,
            "stack": cloud.stack,
            "endpoint_url": cloud.endpoint_url,
            "faults": cloud.fault_document(),
        }

    def _credentials(self, role: str, request: HttpRequest) -> tuple[int, Any]:
        """Container credentials (ECS task IAM roles), for a role named in full or by its kind."""
        cloud = self._cloud
        kind = role.removeprefix(f"rayline-{cloud.stack}-")
        arn = emulator.role_arn(cloud.account_id, role) or emulator.role_arn(
            cloud.account_id, f"rayline-{cloud.stack}-{kind}"
        )
        if arn is None:
            return 404, {"code": "RoleNotFound", "message": f"no role {role}; run `rayline local up`"}
        supplied = request.headers.get("authorization", "")
        if not hmac.compare_digest(supplied.encode(), cloud.role_token(arn).encode()):
            return 403, {"code": "AccessDenied", "message": "the authorization token is not this role's"}
        try:
            credentials = cloud.role_credentials(arn, SERVICE_PRINCIPALS.get(kind))
        except ServiceError as error:
            return 403, {"code": error.code, "message": error.message}
        return 200, {
            "RoleArn": credentials.role_arn,
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "Token": credentials.session_token,
            "Expiration": credentials.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def _set_faults(self, body: bytes) -> tuple[int, Any]:
        try:
            document = json.loads(body)
            self._cloud.set_faults(document)
        except KeyError as error:
            return 400, {"message": f"no service {error}"}
        except ValidationError as error:
            return 400, {"message": f"unknown or wrong switch: {[e['loc'] for e in error.errors()]}"}
        except (ValueError, AttributeError):
            return 400, {"message": "expected a JSON object of services and their switches"}
        return 200, self._cloud.fault_document()
