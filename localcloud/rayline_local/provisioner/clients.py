"""boto3 clients of the local cloud, as its root."""

from typing import Any

import boto3
from botocore.config import Config

ROOT_KEY = "test"


class Clients:
    """Makes each client once; the root key works on a local cloud only."""

    def __init__(self, endpoint_url: str, account_id: str, region: str) -> None:
        self.account_id = account_id
        self.region = region
        self._endpoint_url = endpoint_url
        self._session = boto3.Session(
            aws_access_key_id=ROOT_KEY, aws_secret_access_key=ROOT_KEY, region_name=region
        )
        self._clients: dict[str, Any] = {}

    def get(self, service_name: str) -> Any:
        """The client of a service, by boto3's name."""
        if service_name not in self._clients:
            self._clients[service_name] = self._session.client(
                service_name,  # type: ignore[call-overload]
                endpoint_url=self._endpoint_url,
                config=Config(
                    inject_host_prefix=False,
                    s3={"addressing_style": "path"},
                    retries={"mode": "standard", "max_attempts": 3},
                    connect_timeout=5,
                    read_timeout=60,
                ),
            )
        return self._clients[service_name]
