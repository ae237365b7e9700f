"""Every use of MiniStack's internals, in one place: it is pinned, and this is what a new version must keep.

MiniStack reads its settings from the environment when it is first imported, so `configure()` must run before
any
other function here; they import it lazily.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from rayline_local.front.observed_grants import Grant
from rayline_local.front.rest import Caller, HttpRequest, Permission, ServiceError

_object_version: ContextVar[str | None] = ContextVar("rayline_local_object_version", default=None)
# Set while a request's identity policies are about to be evaluated.
_identity_is_next: ContextVar[bool] = ContextVar("rayline_local_identity_is_next", default=False)


def configure(state_dir: Path, *, account_id: str, region: str, port: int) -> None:
    """Set MiniStack's environment: enforced IAM, loopback only, state kept under `state_dir`."""
    objects = state_dir / "s3"
    objects.mkdir(parents=True, exist_ok=True)
    os.environ.update(
        {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_ACCOUNT_ID": account_id,
            "MINISTACK_REGION": region,
            "SFTP_ENABLED": "0",
            "IOT_MTLS_ENABLED": "0",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(state_dir),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(objects),
            "LOG_LEVEL": "WARNING",
            "MINISTACK_WORKER_THREADS": "16",
            # Root is the literal key `test` whatever the shell that started us holds.
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    )
    os.environ.pop("AWS_SESSION_TOKEN", None)


def load_application() -> Any:
    """MiniStack's ASGI application, with S3's EventBridge events completed."""
    from ministack.app import app

    _add_version_id_to_object_events()
    _replay_to_named_rules_only()
    _authorize_message_batches()
    _authorize_on_what_aws_names()
    _name_roles_by_their_own_arn()
    _serve_ranges_of_versions()
    _refuse_parts_as_s3_does()
    return app


def report_grants(report: Callable[[Grant], None]) -> None:
    """Call ``report`` with the statement of a role that allows a call, at each call that a role makes."""
    # MiniStack's enforcement evaluates the role's own policies first, resource policies with the same function
    # after that; both are looked up by name at each call.
    from ministack.core import iam_evaluator

    enforce, evaluate = iam_evaluator.enforce, iam_evaluator.evaluate

    def enforce_observed(*args: Any, **kwargs: Any) -> Any:
        token = _identity_is_next.set(True)
        try:
            return enforce(*args, **kwargs)
        finally:
            _identity_is_next.reset(token)

    def evaluate_observed(context: Any, policies: list[list[Any]], *limits: list[list[Any]]) -> Any:
        result = evaluate(context, policies, *limits)
        if _identity_is_next.get():
            _identity_is_next.set(False)
            if result.decision == "Allow" and context.principal_type == "AssumedRole":
                report(_granting(context, policies))
        return result

    iam_evaluator.enforce, iam_evaluator.evaluate = enforce_observed, evaluate_observed


def _granting(context: Any, policies: list[list[Any]]) -> Grant:
    from ministack.core import iam_evaluator

    statement = iam_evaluator._first_match(context, [each for policy in policies for each in policy], "Allow")
    resource = next(
        each for each in statement.resources if iam_evaluator.fnmatch_iam_cs(context.resource_arn, each)
    )
    role = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
    return Grant(role, statement.sid, context.action, resource)


LEAST_PART_BYTES = 5 * 1024 * 1024  # but of the last (S3 user guide, "Multipart upload limits")


def _serve_ranges_of_versions() -> None:
    # MiniStack heeds a range of the current object only, and sends all of a version that is asked for by its id.
    from ministack.services import s3

    get = s3._get_object
    if getattr(get, "heeds_ranges_of_versions", False):
        return

    def get_ranges(bucket: str, key: str, headers: dict[str, str], query: Any = None) -> tuple[Any, ...]:
        answer: tuple[Any, ...] = get(bucket, key, headers, query)
        status, answered, body = answer
        wanted = headers.get("range", "")
        if status != 200 or not wanted:
            return answer
        span = s3._parse_range(wanted, len(body))
        if span is None:
            error = s3._xml_body(s3._range_error_xml(bucket, key))
            return 416, {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}, error
        first, last = span
        described = {
            name: value for name, value in answered.items() if not name.lower().startswith("x-amz-checksum-")
        }
        described["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
        described["Content-Length"] = str(last - first + 1)
        return 206, described, body[first : last + 1]

    get_ranges.heeds_ranges_of_versions = True  # type: ignore[attr-defined]
    s3._get_object = get_ranges


def _refuse_parts_as_s3_does() -> None:
    # MiniStack completes an upload whatever its parts' sizes and order, and copies ranges of objects of any size.
    from ministack.services import s3

    complete, copy = s3._complete_multipart_upload, s3._upload_part_copy
    if getattr(complete, "checks_parts", False):
        return

    def checked_complete(
        bucket: str, key: str, body: bytes, query: Any, headers: dict[str, str] | None = None
    ) -> Any:
        held = s3._multipart_uploads.get(s3._qp(query, "uploadId"), {}).get("parts", {})
        numbers = [int(each) for each in re.findall(rb"<PartNumber>\s*(\d+)\s*</PartNumber>", body)]
        if numbers != sorted(set(numbers)):
            return s3._error(
                "InvalidPartOrder", "The list of parts was not in ascending order.", 400, f"/{bucket}/{key}"
            )
        known = all(each in held for each in numbers)
        if known and any(held[each]["size"] < LEAST_PART_BYTES for each in numbers[:-1]):
            return s3._error(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                400,
                f"/{bucket}/{key}",
            )
        return complete(bucket, key, body, query, headers)

    def checked_copy(bucket: str, key: str, query: Any, headers: dict[str, str]) -> Any:
        ranged = headers.get("x-amz-copy-source-range")
        if ranged and 0 <= _source_bytes(headers["x-amz-copy-source"]) <= LEAST_PART_BYTES:
            return s3._error(
                "InvalidRequest",
                "The specified copy source is not supported as a byte-range copy source",
                400,
                f"/{bucket}/{key}",
            )
        return copy(bucket, key, query, headers)

    checked_complete.checks_parts = True  # type: ignore[attr-defined]
    s3._complete_multipart_upload, s3._upload_part_copy = checked_complete, checked_copy


def _source_bytes(copy_source: str) -> int:
    """The size of the object that a copy reads, -1 where there is none."""
    from ministack.services import s3

    path, _, query = copy_source.lstrip("/").partition("?")
    bucket, _, key = unquote(path).partition("/")
    version_id = parse_qs(query).get("versionId", [""])[0]
    _, described, _ = s3._head_object(bucket, key, {}, {"versionId": [version_id]} if version_id else {})
    return int(described.get("Content-Length", -1))


def _authorize_message_batches() -> None:
    # SQS has no permissions of its own for batches: sqs:DeleteMessage allows DeleteMessageBatch (Amazon SQS
    # developer guide, "Amazon SQS API permissions"). MiniStack asks for an action that no policy can name.
    from ministack.core import iam_actions

    extract = iam_actions.extract_iam_action
    if getattr(extract, "knows_message_batches", False):
        return

    def extract_with_batches(*args: Any, **kwargs: Any) -> str | None:
        action: str | None = extract(*args, **kwargs)
        return action.removesuffix("Batch") if action and action.startswith("sqs:") else action

    extract_with_batches.knows_message_batches = True  # type: ignore[attr-defined]
    iam_actions.extract_iam_action = extract_with_batches


def _authorize_on_what_aws_names() -> None:
    # MiniStack asks for any resource in some requests, which no narrow policy grants.
    from ministack.core import iam_actions

    extract = iam_actions.extract_resource_arn
    if getattr(extract, "knows_more", False):
        return

    def extract_more(
        service: str, method: str, path: str, headers: Any, body: Any, *more: Any, **named: Any
    ) -> str:
        arn: str = extract(service, method, path, headers, body, *more, **named)
        if service not in _RESOURCES:
            return arn
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            return arn
        region, account_id = named.get("region") or more[1], named.get("account_id") or more[2]
        return _RESOURCES[service](request, f"{region}:{account_id}") or arn

    extract_more.knows_more = True  # type: ignore[attr-defined]
    iam_actions.extract_resource_arn = extract_more


def _replay_resource(request: Mapping[str, Any], where: str) -> str | None:
    # StartReplay is authorized on the archive, DescribeReplay on the replay (Service Authorization Reference,
    # "Amazon EventBridge").
    archive = request.get("EventSourceArn", "")
    if request.get("ReplayName") and ":archive/" in archive:
        return str(archive)
    return f"arn:aws:events:{where}:replay/{request['ReplayName']}" if request.get("ReplayName") else None


def _parameter_resource(request: Mapping[str, Any], where: str) -> str | None:
    # GetParameters is authorized on each parameter; our containers ask for one at a time.
    asked = request.get("Names") or []
    return f"arn:aws:ssm:{where}:parameter/{str(asked[0]).lstrip('/')}" if len(asked) == 1 else None


_RESOURCES: Mapping[str, Callable[[Mapping[str, Any], str], str | None]] = {
    "events": _replay_resource,
    "ssm": _parameter_resource,
}


def _name_roles_by_their_own_arn() -> None:
    # For a role's session aws:PrincipalArn is the role's ARN (IAM user guide, "AWS global condition context keys");
    # MiniStack answers the session's.
    from ministack.core import iam_evaluator

    resolve = iam_evaluator._resolve_condition_key
    if getattr(resolve, "names_roles", False):
        return

    def resolve_with_roles(key: str, context: Any) -> Any:
        if key.lower() == "aws:principalarn" and context.principal_type == "AssumedRole":
            role = iam_evaluator._role_name_from_assumed_arn(context.principal_arn)
            return role_arn(context.principal_account, role) or context.principal_arn
        return resolve(key, context)

    resolve_with_roles.names_roles = True  # type: ignore[attr-defined]
    iam_evaluator._resolve_condition_key = resolve_with_roles


def _replay_to_named_rules_only() -> None:
    # AWS replays to the rules in `FilterArns` where there are any (EventBridge API reference, ReplayDestination);
    # MiniStack replays to all of the bus.
    from ministack.services import eventbridge

    dispatch = eventbridge._dispatch_event
    if getattr(dispatch, "heeds_filters", False):
        return

    def dispatch_filtered(event: dict[str, Any], view: Any = None) -> None:
        replay = eventbridge._replays.get(event.get("ReplayName")) if event.get("ReplayName") else None
        wanted = set((replay or {}).get("Destination", {}).get("FilterArns") or [])
        if wanted:
            unwanted = [key for key, rule in eventbridge._rules.items() if rule.get("Arn") not in wanted]
            # Rules that the event has passed already, which MiniStack passes over.
            event = {**event, "_DispatchPath": [*event.get("_DispatchPath", ()), *unwanted]}
        dispatch(event, view)

    dispatch_filtered.heeds_filters = True  # type: ignore[attr-defined]
    eventbridge._dispatch_event = dispatch_filtered


def _add_version_id_to_object_events() -> None:
    # AWS sends `version-id` for versioned buckets; MiniStack knows the version but drops it when it builds
    # the
    # EventBridge form. Both functions are looked up by name at each call, so replacing them is enough.
    from ministack.services import eventbridge, s3

    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    if getattr(fire, "adds_version_id", False):
        return

    def fire_with_version(*args: Any, **kwargs: Any) -> None:
        token = _object_version.set(kwargs.get("version_id"))
        try:
            fire(*args, **kwargs)
        finally:
            _object_version.reset(token)

    def dispatch_with_version(event: dict[str, Any], view: Any = None) -> None:
        version_id = _object_version.get()
        if version_id and event.get("Source") == "aws.s3" and view is None:
            detail = json.loads(event["Detail"])
            detail["object"].setdefault("version-id", version_id)
            event = {**event, "Detail": json.dumps(detail)}
        dispatch(event, view)
        if event.get("Source") == "aws.s3" and "ReplayName" not in event:
            # MiniStack archives what is put on a bus, with its time as a number, and forgets S3's own events.
            at = datetime.fromisoformat(event["Time"])
            eventbridge._archive_event({**event, "Time": int(at.timestamp())})

    fire_with_version.adds_version_id = True  # type: ignore[attr-defined]
    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version


def put_event(
    *,
    account_id: str,
    region: str,
    source: str,
    detail_type: str,
    detail: Mapping[str, Any],
    resources: Sequence[str],
) -> None:
    """Put one event on the default bus with a source that only AWS services may use."""
    from ministack.core.responses import request_scope
    from ministack.services import eventbridge

    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": json.dumps(detail),
        "Resources": list(resources),
        "EventBusName": "default",
    }
    with request_scope(account_id, region):
        eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)


# Authentication failures keep the code that the AWS SDKs know for them.
_AUTHENTICATION_CODES = {
    "SignatureDoesNotMatch": "InvalidSignatureException",
    "RequestTimeTooSkewed": "InvalidSignatureException",
    "InvalidToken": "UnrecognizedClientException",
    "MissingAuthenticationToken": "MissingAuthenticationTokenException",
    "IncompleteSignature": "IncompleteSignatureException",
}


def authorize(request: HttpRequest, permissions: Sequence[Permission], service: str, region: str) -> Caller:
    """Verify the signature, then each permission, with MiniStack's own evaluator; raises ServiceError
    (403).
    """
    from ministack.core import iam_evaluator
    from ministack.core.responses import set_request_account_id, set_request_region
    from ministack.core.router import extract_access_key_id

    query = parse_qs(request.raw_query, keep_blank_values=True)
    headers = dict(request.headers)
    access_key_id = extract_access_key_id(headers, query) or ""
    set_request_account_id(access_key_id if not access_key_id.isdigit() else "")
    set_request_region(region)
    # The front stands for the TLS endpoint, so policies see a secure transport.
    iam_evaluator.pin_request_origin(request.client_host, True)
    iam_evaluator.pin_signed_request(request.method, request.raw_path, query, list(request.raw_headers))
    iam_evaluator.pin_signed_body(request.body)
    iam_evaluator.pin_request_caller(headers, query)
    for permission in permissions:
        denied = iam_evaluator.enforce(
            access_key_id,
            permission.action,
            service,
            region,
            resource_arn=permission.resource,
            service_context=dict(permission.context),
        )
        if denied is None:
            continue
        if isinstance(denied, iam_evaluator.AuthError):
            raise ServiceError(_AUTHENTICATION_CODES.get(denied.code, denied.code), denied.message, 403)
        reason = (
            "with an explicit deny in"
            if denied.decision == "Deny"
            else "because no identity-based policy allows"
        )
        suffix = (
            "an identity-based policy" if denied.decision == "Deny" else f"the {permission.action} action"
        )
        raise ServiceError(
            "AccessDeniedException",
            f"User: {denied.principal_arn} is not authorized to perform: {permission.action} "
            f"on resource: {permission.resource} {reason} {suffix}",
            403,
        )
    return Caller(access_key_id, iam_evaluator.caller_arn())


def require_trust(account_id: str, role_arn: str, service_principal: str | None) -> None:
    """Hold a role's trust policy against a service principal, or, with None, against the account itself."""
    from ministack.core import iam_evaluator
    from ministack.services import iam

    role = iam._roles.get_scoped(account_id, None, role_arn.rsplit("/", 1)[-1])
    if role is None or role.get("Arn") != role_arn:
        raise ServiceError(
            "ValidationException", f"role {role_arn} does not exist; run `rayline local up`", 400
        )
    document = role.get("AssumeRolePolicyDocument") or {}
    if isinstance(document, str):
        document = json.loads(document)
    root = f"arn:aws:iam::{account_id}:root"
    if service_principal is None:
        trusted = iam_evaluator.evaluate_trust_policy(document, root)
    else:
        trusted = any(_names_service(statement, service_principal) for statement in _statements(document))
    if not trusted:
        principal = service_principal or root
        raise ServiceError("AccessDeniedException", f"{principal} is not trusted to assume {role_arn}", 403)


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    statements = document.get("Statement", [])
    return [statements] if isinstance(statements, dict) else list(statements)


def _names_service(statement: Mapping[str, Any], service_principal: str) -> bool:
    principal = statement.get("Principal", {})
    services = principal.get("Service", []) if isinstance(principal, dict) else []
    names = [services] if isinstance(services, str) else services
    return statement.get("Effect") == "Allow" and service_principal in names


def role_arn(account_id: str, role_name: str) -> str | None:
    """The ARN of an existing role, or None."""
    from ministack.services import iam

    role = iam._roles.get_scoped(account_id, None, role_name)
    return None if role is None else str(role["Arn"])


def mint_session(account_id: str, role_arn: str, session_name: str, seconds: int) -> dict[str, str]:
    """Register an assumed-role session, as STS does for a service principal; the trust is the caller's to
    check.
    """
    from ministack.core.responses import request_scope
    from ministack.services import iam, sts

    role_name = role_arn.rsplit("/", 1)[-1]
    keys = {
        "AccessKeyId": iam._gen_session_access_key(),
        "SecretAccessKey": iam._gen_secret(),
        "SessionToken": iam._gen_session_token(),
    }
    with request_scope(account_id, os.environ["MINISTACK_REGION"]):
        role_id = sts._role_id(role_arn)
        sts.register_session(
            keys["AccessKeyId"],
            {
                "Arn": f"arn:aws:sts::{account_id}:assumed-role/{role_name}/{session_name}",
                "UserId": f"{role_id}:{session_name}",
                "SecretAccessKey": keys["SecretAccessKey"],
                "SessionToken": keys["SessionToken"],
                "Expiration": time.time() + seconds,
                "AccountId": account_id,
                "PrincipalType": "AssumedRole",
            },
        )
    return keys
