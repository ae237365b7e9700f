"""A local cloud with the estate applied to it, and clients of its roles."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from support.local_cloud import LocalCloud

from rayline.reminders import PROCESSOR_SOURCE
from rayline_local.provisioner import apply
from rayline_local.running import require_running

RECEIVE_SECONDS = 5


class AppliedEstate:
    """A local cloud with the estate in it."""

    def __init__(self, cloud: LocalCloud, state_path: Path) -> None:
        self.cloud = cloud
        self.state_path = state_path
        self.lines: list[str] = []
        self.outputs = self.apply()

    def apply(self) -> dict[str, Any]:
        self.lines = []
        return apply("local", self.cloud.endpoint_url, self.state_path, report=self.lines.append)

    def client(self, service: str, role: str | None = None) -> Any:
        """A client as root, or as a role with the credentials that the role's own processes would fetch."""
        keys: dict[str, Any] = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        front = require_running(self.cloud.state_dir)
        if role is not None:
            environment = front.role_environment(role)
            request = urllib.request.Request(
                environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
                headers={"Authorization": environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
            )
            with urllib.request.urlopen(request, timeout=10) as response:
                answer = json.load(response)
            keys = {
                "aws_access_key_id": answer["AccessKeyId"],
                "aws_secret_access_key": answer["SecretAccessKey"],
                "aws_session_token": answer["Token"],
            }
        return boto3.Session(region_name=front.region, **keys).client(
            service,  # type: ignore[call-overload]
            endpoint_url=front.endpoint_url,
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    def received(self) -> list[dict[str, Any]]:
        """The next messages of the event queue but reminders, as the processor receives and deletes them."""
        sqs = self.client("sqs", "processor")
        url = self.outputs["queue_url"]
        found = sqs.receive_message(
            QueueUrl=url, WaitTimeSeconds=RECEIVE_SECONDS, MaxNumberOfMessages=10
        ).get("Messages", [])
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        bodies = [json.loads(message["Body"]) for message in found]
        return [body for body in bodies if body["source"] != PROCESSOR_SOURCE]


def refused(act: Callable[[], object]) -> bool:
    """Whether AWS denied a call; any other failure is an error of the test."""
    try:
        act()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        assert code in ("AccessDenied", "AccessDeniedException"), code
        return True
    return False
