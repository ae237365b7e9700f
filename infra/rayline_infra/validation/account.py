"""The account as readers see it: clients, what AWS called what planning had to invent, and absent resources."""

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rayline.errors import ConfigurationError
from rayline_infra.policies.graph import Graph

_CONFIG = Config(
    retries={"mode": "standard", "total_max_attempts": 5},
    connect_timeout=5,
    read_timeout=30,
    max_pool_connections=16,
    s3={"addressing_style": "path"},
)
# Ids that only AWS gives, in whatever holds them: two values that differ in nothing else are the same.
_INVENTED = re.compile(r"\b(subnet|sg|vpc|vpce|rtb|acl)-[0-9a-f]{8,17}\b")


class Absent(Exception):
    """The account has no such resource."""


class Account:
    """One account through boto3, by a stack's graph.

    Args:
        session: whose credentials may describe everything that the stack declares, as who deploys it may.
    """

    def __init__(self, graph: Graph, session: boto3.Session | None = None) -> None:
        self.graph = graph
        self.region = str(graph.outputs["region"])
        self._session = session or boto3.Session()
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._real: list[tuple[str, str]] = []
        # A cloud that is not AWS keeps everything in one place.
        self._regions = True
        self._regions = "amazonaws.com" in self.client("sts").meta.endpoint_url

    def client(self, service: str, region: str | None = None) -> Any:
        """A client of the stack's region, or of another one where the account has others."""
        place = (service, region if region and self._regions else self.region)
        with self._lock:
            if place not in self._clients:
                self._clients[place] = self._session.client(
                    service,  # type: ignore[call-overload]
                    region_name=place[1],
                    config=_CONFIG,
                )
            return self._clients[place]

    def as_role(self, role_arn: str) -> boto3.Session:
        """A session under a role of the stack.

        Raises:
            ClientError: the role does not trust whoever asks.
        """
        answer = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="rayline-validate")
        keys = answer["Credentials"]
        return boto3.Session(
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys["SessionToken"],
            region_name=self.region,
        )

    def require_own(self) -> None:
        """See that these credentials are of the stack's account.

        Raises:
            ConfigurationError: they are of another one, or of none.
        """
        expected = str(self.graph.outputs["account_id"])
        try:
            found = self.client("sts").get_caller_identity()["Account"]
        except (BotoCoreError, ClientError) as error:
            raise ConfigurationError(
                f"no AWS account answers: {error}; sign in to account {expected}, or for the local stack run "
                "`rayline local exec --role root -- rayline validate --stack local`"
            ) from None
        if found != expected:
            raise ConfigurationError(
                f"these credentials are of account {found}, and the stack is in {expected}"
            )

    def learn(self, planned: str, real: str) -> None:
        """Note what AWS called something that planning had to invent."""
        if planned and planned != real:
            with self._lock:
                self._real.append((planned, real))

    def expected(self, value: Any) -> Any:
        """A declared value with AWS's own ids in place of planned ones."""
        text = json.dumps(value)
        for planned, real in self._real:
            text = text.replace(planned, real)
        return json.loads(text)

    def same_document(self, declared: str, found: str | Mapping[str, Any] | None) -> bool:
        """Whether two JSON documents say the same, whatever ids AWS gave to subnets and groups."""
        if not found:
            return False
        left = _plain(self.expected(json.loads(declared)))
        right = _plain(json.loads(found) if isinstance(found, str) else dict(found))
        return bool(left == right)


def _plain(value: Any) -> Any:
    """A document in which the order of a list, a list of one, and invented ids do not matter."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        parts = [_plain(each) for each in value]
        return (
            parts[0] if len(parts) == 1 else sorted(parts, key=lambda each: json.dumps(each, sort_keys=True))
        )
    return _INVENTED.sub(r"\1-", value) if isinstance(value, str) else value


def present(call: Callable[[], Any], *gone: str) -> Any:
    """What a call answers.

    Args:
        gone: the error codes, or parts of them, that say that there is no such resource.

    Raises:
        Absent: there is none.
    """
    try:
        return call()
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if any(each in code for each in (*gone, "NotFound", "NoSuch", "NonExistent", "DoesNotExist", "404")):
            raise Absent from None
        raise


def differing(found: Mapping[str, Any], **declared: Any) -> Iterable[str]:
    """A sentence for each value that is not as declared."""
    for name, value in declared.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)!r} and should be {value!r}"
