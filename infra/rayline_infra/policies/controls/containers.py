"""What runs in a container can do little harm: no root, nothing to write to, no secret in sight."""

import re
from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import REPOSITORY
from rayline_infra.policies.identities import at
from rayline_infra.policies.task_containers import containers

# A name that promises a secret value; one that ends in ARN or NAME only says where it is.
SECRET_NAME = re.compile(
    r"(SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|PRIVATE_KEY|API_KEY|ACCESS_KEY)", re.IGNORECASE
)
SECRET_VALUE = re.compile(r"AKIA[0-9A-Z]{16}|-----BEGIN|[0-9a-f]{64}")
REFERENCE = ("_ARN", "_NAME", "_ID", "_URL", "_SECONDS")


def unprivileged(graph: Graph) -> Iterator[Observation]:
    """Containers run as somebody who is not root, without capabilities."""
    for task, container in containers(graph):
        user = str(container.get("user") or "root")
        dropped = at(container, "linuxParameters.capabilities.drop") or []
        added = at(container, "linuxParameters.capabilities.add") or []
        fine = (
            user.split(":")[0] not in ("root", "0")
            and dropped == ["ALL"]
            and not added
            and not container.get("privileged", False)
        )
        yield judged(task, fine, f"{container['name']}: user = {user}, dropped = {dropped}, added = {added}")


def read_only(graph: Graph) -> Iterator[Observation]:
    """The root file system of a container is read-only."""
    for task, container in containers(graph):
        fixed = container.get("readonlyRootFilesystem") is True
        yield judged(task, fixed, f"{container['name']}: readonlyRootFilesystem = {fixed}")


def no_secret_in_sight(graph: Graph) -> Iterator[Observation]:
    """Secrets are injected by reference; none is in a container's environment."""
    for task, container in containers(graph):
        shown = [
            str(each["name"])
            for each in container.get("environment", [])
            if SECRET_VALUE.search(str(each["value"]))
            or (SECRET_NAME.search(each["name"]) and not each["name"].endswith(REFERENCE))
        ]
        count = len(container.get("secrets", []))
        setting = f"{', '.join(shown)} in plain sight" if shown else f"{count} secrets by reference"
        yield judged(task, not shown, f"{container['name']}: {setting}")


def replaced_when_sick(graph: Graph) -> Iterator[Observation]:
    """ECS asks each container that matters whether it is well."""
    for task, container in containers(graph):
        if container.get("essential", True):
            command = at(container, "healthCheck.command")
            asked = bool(command) and command != ["NONE"]
            yield judged(task, asked, f"{container['name']}: healthCheck.command = {command}")


def images_are_fixed(graph: Graph) -> Iterator[Observation]:
    """Images are scanned, a tag always means the same image, and tasks run images of the estate's own."""
    for repository in graph.of_type(REPOSITORY):
        immutable = repository.inputs.get("imageTagMutability") == "IMMUTABLE"
        scanned = at(repository.inputs, "imageScanningConfiguration.scanOnPush") is True
        yield judged(repository, immutable and scanned, f"IMMUTABLE = {immutable}, scanOnPush = {scanned}")
    own = {str(each.outputs.get("repositoryUrl")) for each in graph.of_type(REPOSITORY)}
    for task, container in containers(graph):
        image = str(container["image"])
        address, _, tag = image.partition("@") if "@" in image else image.rpartition(":")
        fine = address in own and tag != "latest"
        yield judged(task, fine, f"{container['name']}: image = {image}")


def deployments_roll_back(graph: Graph) -> Iterator[Observation]:
    """A deployment that does not come up is taken back."""
    for service in graph.of_type("aws:ecs/service:Service"):
        breaker = service.inputs.get("deploymentCircuitBreaker") or {}
        on = breaker.get("enable") is True and breaker.get("rollback") is True
        yield judged(service, on, f"deploymentCircuitBreaker with rollback = {on}")


CONTROLS = (
    Control(
        "CON-1",
        "Containers run without privileges",
        ("164.312(a)(1)", "164.308(a)(5)(ii)(B)"),
        "high",
        "user and capabilities of containers",
        unprivileged,
    ),
    Control(
        "CON-2",
        "Containers cannot change themselves",
        ("164.312(c)(1)", "164.308(a)(5)(ii)(B)"),
        "high",
        "root file systems of containers",
        read_only,
    ),
    Control(
        "CON-3",
        "No secret is in sight",
        ("164.312(a)(1)", "164.312(d)"),
        "critical",
        "environments of containers",
        no_secret_in_sight,
    ),
    Control(
        "CON-4",
        "A sick container is replaced",
        ("164.308(a)(7)(ii)(C)",),
        "medium",
        "health checks of containers",
        replaced_when_sick,
    ),
    Control(
        "CON-5",
        "Images are scanned and never change",
        ("164.308(a)(5)(ii)(B)", "164.312(c)(1)"),
        "high",
        "repositories, and images of containers",
        images_are_fixed,
    ),
    Control(
        "CON-6",
        "A failed deployment is taken back",
        ("164.308(a)(7)(ii)(C)",),
        "medium",
        "ECS services",
        deployments_roll_back,
    ),
)
