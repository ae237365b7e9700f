"""What the front hands to the services that it hosts: identity, events, clients, credentials and fault
switches.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from rayline_local.front import emulator
from rayline_local.front.accepted import AcceptedStarts
from rayline_local.front.faults import FaultSwitches, RequestFaults
from rayline_local.front.late_events import LateEvents
from rayline_local.front.observed_grants import ObservedGrants
from rayline_local.front.rest import Caller, HttpRequest, Permission, Receive, Scope, Send

ROOT_ACCESS_KEY = "test"
CREDENTIAL_SECONDS = 3600
CREDENTIAL_RENEWAL = timedelta(minutes=10)
REQUEST_LOG_LENGTH = 2000
ACCEPTED_FILE = "accepted.ndjson"
GRANTS_FILE = "grants.ndjson"

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def role_token(secret: str, role_arn: str) -> str:
    """The bearer token of one role at the credentials path, derived from the front's secret."""
    return hmac.new(secret.encode(), role_arn.encode(), hashlib.sha256).hexdigest()


def role_environment(endpoint_url: str, region: str, role_arn: str, token: str) -> dict[str, str]:
    """A child process's AWS environment under a role: no keys, only where and with what to ask for them."""
    role_name = role_arn.rsplit("/", 1)[-1]
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{endpoint_url}/_rayline/credentials/{role_name}",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": token,
    }


class LocalService(Protocol):
    """An ASGI application that answers for one AWS service, chosen by the SigV4 signing name."""

    signing_name: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    async def startup(self) -> None:
        """Called once before the first request."""

    async def shutdown(self) -> None:
        """Called once after the last request."""


@dataclass(frozen=True)
class RoleCredentials:
    """Short-lived credentials of one role session."""

    role_arn: str
    access_key_id: str
    secret_access_key: str
    session_token: str
    expires_at: datetime


@dataclass(frozen=True)
class RequestRecord:
    """One request to a hosted service; carries identifiers of ours only, never input values."""

    at: str
    service: str
    operation: str
    caller: str
    status: int
    error: str | None
    milliseconds: float


class Cloud:
    """The account that the front plays, as its hosted services see it.

    `client()` makes blocking clients of this very process: use them from worker threads, never on the event
    loop.
    Everything else may be called from any thread.
    """

    def __init__(
        self,
        *,
        account_id: str,
        region: str,
        stack: str,
        state_dir: Path,
        endpoint_url: str,
        secret: str,
        clock: Clock = utc_now,
    ) -> None:
        self.account_id = account_id
        self.region = region
        self.stack = stack
        self.state_dir = state_dir
        self.endpoint_url = endpoint_url
        self.clock = clock
        self._secret = secret
        self._lock = threading.Lock()
        self._credentials: dict[str, RoleCredentials] = {}
        self._requests: deque[RequestRecord] = deque(maxlen=REQUEST_LOG_LENGTH)
        self._faults = FaultSwitches()
        self._late_events = LateEvents()
        self._accepted = AcceptedStarts(state_dir / ACCEPTED_FILE)
        self.observed_grants = ObservedGrants(state_dir / GRANTS_FILE)

    # Events

    def put_service_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Deliver one event on the default bus as an AWS service would (customers may not use `aws.*`
        sources).
        """
        deliver = functools.partial(
            emulator.put_event,
            account_id=self.account_id,
            region=self.region,
            source=source,
            detail_type=detail_type,
            detail=detail,
            resources=resources,
        )
        for seconds in self._faults.deliveries(source):
            if seconds:
                self._late_events.put(seconds, deliver)
            else:
                deliver()

    def deliver_late_events(self) -> None:
        """Deliver at once what a fault switch holds back, because the front stops."""
        self._late_events.flush()

    # Identity

    def authorize(self, request: HttpRequest, permissions: Sequence[Permission], service: str) -> Caller:
        """Check the request's signature and each permission against the caller's policies.

        Raises ServiceError with the code and status that AWS answers (AccessDeniedException and its kin,
        403).
        """
        return emulator.authorize(request, permissions, service, self.region)

    def role_credentials(self, role_arn: str, service_principal: str | None = None) -> RoleCredentials:
        """Credentials of a role session, cached until shortly before they expire.

        `service_principal` (e.g. `medical-imaging.amazonaws.com`) must be named in the role's trust policy;
        without
        it the account's own principal or any service will do. Raises ServiceError when the role does not
        exist or
        does not trust the principal.
        """
        emulator.require_trust(self.account_id, role_arn, service_principal)
        with self._lock:
            cached = self._credentials.get(role_arn)
            if cached is None or cached.expires_at - self.clock() < CREDENTIAL_RENEWAL:
                cached = self._mint(role_arn)
                self._credentials[role_arn] = cached
            return cached

    def _mint(self, role_arn: str) -> RoleCredentials:
        minted = emulator.mint_session(self.account_id, role_arn, "rayline-local", CREDENTIAL_SECONDS)
        return RoleCredentials(
            role_arn=role_arn,
            access_key_id=minted["AccessKeyId"],
            secret_access_key=minted["SecretAccessKey"],
            session_token=minted["SessionToken"],
            expires_at=self.clock() + timedelta(seconds=CREDENTIAL_SECONDS),
        )

    def role_of(self, access_key_id: str) -> str | None:
        """The role whose session this key belongs to, None for any other key."""
        with self._lock:
            held = list(self._credentials.values())
        return next((each.role_arn for each in held if each.access_key_id == access_key_id), None)

    def role_token(self, role_arn: str) -> str:
        """The bearer token that fetches this role's credentials and no other's."""
        return role_token(self._secret, role_arn)

    def role_environment(self, role_arn: str) -> dict[str, str]:
        """What a container's agent would set for a process that runs under this role."""
        return role_environment(self.endpoint_url, self.region, role_arn, self.role_token(role_arn))

    def client(
        self, service_name: str, role_arn: str | None = None, service_principal: str | None = None
    ) -> Any:
        """A boto3 client of this front, as root or as a role whose credentials renew themselves.

        `service_principal` is who assumes the role, as in `role_credentials`.
        """
        config = Config(
            inject_host_prefix=False,
            s3={"addressing_style": "path"},
            retries={"mode": "standard", "max_attempts": 3},
        )
        session = botocore.session.Session()
        if role_arn is not None:
            role = role_arn

            def renew() -> dict[str, str]:
                credentials = self.role_credentials(role, service_principal)
                return {
                    "access_key": credentials.access_key_id,
                    "secret_key": credentials.secret_access_key,
                    "token": credentials.session_token,
                    "expiry_time": credentials.expires_at.isoformat(),
                }

            session._credentials = RefreshableCredentials.create_from_metadata(  # type: ignore[attr-defined]
                metadata=renew(), refresh_using=renew, method="rayline-local"
            )
        else:
            session.set_credentials(ROOT_ACCESS_KEY, ROOT_ACCESS_KEY)
        return boto3.Session(botocore_session=session, region_name=self.region).client(
            service_name,  # type: ignore[call-overload]
            endpoint_url=self.endpoint_url,
            config=config,
        )

    # Faults and the request log

    def register_faults(self, fault_name: str, source: str | None, switches: RequestFaults) -> None:
        """Declare a service's fault switches and the event source that they govern
        (`aws.medical-imaging`).
        """
        self._faults.register(fault_name, source, switches)

    def faults(self, fault_name: str) -> RequestFaults:
        """The service's current switches."""
        return self._faults.of(fault_name)

    def fault_document(self) -> dict[str, Any]:
        """All switches, as `/_rayline/faults` shows them."""
        return self._faults.document()

    def faults_struck(self) -> dict[str, dict[str, int]]:
        """How often each fault has struck, by service and switch."""
        return self._faults.struck()

    def set_faults(self, document: Mapping[str, Any]) -> None:
        """Replace the switches of each service named; raises KeyError or pydantic.ValidationError for unknown
        ones.
        """
        self._faults.replace(document)

    def take_fault(self, service: str, name: str) -> bool:
        """Whether a fault strikes now: a count, which goes down by one, or a share, by chance."""
        return self._faults.take(service, name)

    def record_accepted(self, service: str, operation: str, **facts: Any) -> None:
        """Append to the record of accepted starts, which survives this process."""
        at = self.clock().isoformat()
        self._accepted.append({"at": at, "service": service, "operation": operation, **facts})

    def accepted_log(self) -> list[dict[str, Any]]:
        """Every accepted start since the state folder was made, oldest first."""
        return self._accepted.records()

    def record_request(
        self, service: str, operation: str, caller: str, status: int, error: str | None, milliseconds: float
    ) -> None:
        """Append to the request log."""
        self._requests.append(
            RequestRecord(
                self.clock().isoformat(), service, operation, caller, status, error, round(milliseconds, 2)
            )
        )

    def request_log(self) -> list[dict[str, Any]]:
        """The latest requests to hosted services, oldest first."""
        return [asdict(record) for record in list(self._requests)]
