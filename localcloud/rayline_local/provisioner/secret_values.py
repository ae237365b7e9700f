"""Values of the local estate's secrets: drawn once, here, and never printed or kept in a file."""

import secrets
from collections.abc import Iterable
from typing import Any

from botocore.exceptions import ClientError

from rayline_local.provisioner.clients import Clients

SECRET_BYTES = 32
NO_VALUE = "ResourceNotFoundException"


def put_missing_values(arns: Iterable[str], clients: Clients) -> list[str]:
    """Give each secret without a value a random one, hexadecimal; answers the ARNs of those that got one."""
    client = clients.get("secretsmanager")
    valued = []
    for arn in arns:
        if not _has_value(client, arn):
            client.put_secret_value(SecretId=arn, SecretString=secrets.token_hex(SECRET_BYTES))
            valued.append(arn)
    return valued


def _has_value(client: Any, arn: str) -> bool:
    try:
        found = client.get_secret_value(SecretId=arn)
    except ClientError as error:
        if error.response["Error"]["Code"] == NO_VALUE:
            return False
        raise
    return bool(found.get("SecretString"))
