"""The in-memory cloud: every service on one clock, and the clients of as many processes as a test wants."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from support.in_memory_cloud.calls import FakeClient, Steps
from support.in_memory_cloud.dynamodb import InMemoryDynamoDB
from support.in_memory_cloud.events import InMemoryEventBridge
from support.in_memory_cloud.health_imaging import InMemoryHealthImaging
from support.in_memory_cloud.s3 import InMemoryS3
from support.in_memory_cloud.sagemaker import InMemorySageMaker
from support.in_memory_cloud.sqs import InMemorySQS

from rayline.aws import Clients


class InMemoryCloud:
    """One account's services."""

    def __init__(self, clock: Callable[[], datetime], *, model_package_group: str = "pneumonia") -> None:
        self.clock = clock
        self.dynamodb = InMemoryDynamoDB()
        self.sqs = InMemorySQS(clock)
        self.s3 = InMemoryS3(clock)
        self.events = InMemoryEventBridge()
        self.health_imaging = InMemoryHealthImaging(self.s3, clock)
        self.sagemaker = InMemorySageMaker(clock, model_package_group)

    def client(self, service: str, steps: Steps | None = None) -> Any:
        """A client by boto3's name of its service."""
        services = {
            "dynamodb": self.dynamodb,
            "sqs": self.sqs,
            "s3": self.s3,
            "events": self.events,
            "medical-imaging": self.health_imaging,
            "sagemaker": self.sagemaker,
        }
        return FakeClient(service, services[service], steps or Steps())

    def clients(self, steps: Steps | None = None) -> Clients:
        """The clients of one process, with its own steps."""
        return Clients(_Session(self, steps or Steps()))  # type: ignore[arg-type]


class _Session:
    def __init__(self, cloud: InMemoryCloud, steps: Steps) -> None:
        self._cloud = cloud
        self._steps = steps

    def client(self, name: str, config: Any = None) -> Any:
        return self._cloud.client(name, self._steps)
