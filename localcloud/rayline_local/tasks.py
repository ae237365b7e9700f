"""The ECS agent's part: what a task definition's container gets as its environment.

Settings come from the definition, secrets are read with the execution role, and the task role's credentials
are
fetched by the process itself. Source: Amazon ECS developer guide, "Task IAM role", "Pass Secrets Manager
secrets".
"""

from __future__ import annotations

import json
import os
import urllib.request
from typing import Any

import boto3
from botocore.config import Config

from rayline.errors import ConfigurationError
from rayline_local.front.services import ROOT_ACCESS_KEY
from rayline_local.running import RunningFront


def root_environment(front: RunningFront) -> dict[str, str]:
    """The AWS environment of a process that deploys: the local account's root key."""
    where = front.role_environment("root")
    return {
        **{name: value for name, value in where.items() if not name.startswith("AWS_CONTAINER_")},
        "AWS_ACCESS_KEY_ID": ROOT_ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_ACCESS_KEY,
    }


def root_client(front: RunningFront, service_name: str) -> Any:
    """A client with the local account's root key: only for what AWS's own agents do."""
    return _client(front, service_name, ROOT_ACCESS_KEY, ROOT_ACCESS_KEY, None)


def _client(
    front: RunningFront, service_name: str, access_key: str, secret_key: str, token: str | None
) -> Any:
    session = boto3.Session(
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=token,
        region_name=front.region,
    )
    return session.client(
        service_name,  # type: ignore[call-overload]
        endpoint_url=front.endpoint_url,
        config=Config(inject_host_prefix=False),
    )


def role_client(front: RunningFront, service_name: str, role_arn: str) -> Any:
    """A client with a role's credentials, from the same endpoint that the role's processes ask."""
    environment = front.role_environment(role_arn)
    request = urllib.request.Request(  # noqa: S310 - the front's own loopback address
        environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"],
        headers={"Authorization": environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"]},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        keys = json.load(response)
    return _client(front, service_name, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])


def task_environment(
    front: RunningFront, task_definition: str, container: str | None = None
) -> dict[str, str]:
    """The environment of one container of a task definition (ARN, or family for the latest revision).

    Raises ConfigurationError when the definition or the container does not exist or has no task role.
    """
    ecs = root_client(front, "ecs")
    try:
        definition = ecs.describe_task_definition(taskDefinition=task_definition)["taskDefinition"]
    except ecs.exceptions.ClientException as error:
        raise ConfigurationError(f"no task definition {task_definition}: run `rayline local up`") from error
    containers = definition["containerDefinitions"]
    chosen = next((item for item in containers if container in (None, item["name"])), None)
    if chosen is None:
        raise ConfigurationError(f"task definition {task_definition} has no container {container}")
    role_arn = definition.get("taskRoleArn")
    if not role_arn:
        raise ConfigurationError(f"task definition {task_definition} has no task role: set taskRoleArn")
    environment = {item["name"]: item["value"] for item in chosen.get("environment", [])}
    for item in chosen.get("secrets", ()):
        environment[item["name"]] = _injected(front, item["valueFrom"], definition["executionRoleArn"])
    environment.update(front.role_environment(role_arn))
    return environment


def _injected(front: RunningFront, arn: str, execution_role_arn: str) -> str:
    """A value that the agent fetches for a container: a secret, or a parameter of Systems Manager."""
    if ":ssm:" in arn:
        name = arn.partition(":parameter")[2]
        parameters = role_client(front, "ssm", execution_role_arn).get_parameters(
            Names=[name], WithDecryption=True
        )
        return str(parameters["Parameters"][0]["Value"])
    secrets_manager = role_client(front, "secretsmanager", execution_role_arn)
    return str(secrets_manager.get_secret_value(SecretId=arn)["SecretString"])


def process_environment(added: dict[str, str]) -> dict[str, str]:
    """A child's environment: the caller's without its AWS and Rayline settings, then what is added.

    `RAYLINE_DATA`, where the real images lie, stays.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "RAYLINE_")) or name == "RAYLINE_DATA"
    }
    return {**kept, **added}
