"""The model registry: package groups, versions and their approval."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from rayline_local.front.rest import ServiceError
from rayline_local.sagemaker.events import SageMakerEvents
from rayline_local.sagemaker.store import DocumentStore

UPDATABLE = (
    "ModelApprovalStatus",
    "ApprovalDescription",
    "ModelCard",
    "ModelLifeCycle",
    "InferenceSpecification",
    "SourceUri",
    "ModelPackageRegistrationType",
)


class RegistryHost(Protocol):
    """What the registry needs of the local cloud."""

    account_id: str
    region: str
    clock: Callable[[], datetime]


class ModelRegistry:
    """Versioned model packages, as ``CreateModelPackage`` and its kin see them; packages without a group are
    refused.
    """

    def __init__(self, host: RegistryHost, store: DocumentStore, events: SageMakerEvents) -> None:
        self._host = host
        self._store = store
        self._events = events
        # Numbering a version reads and writes; two executions may register at once.
        self._lock = threading.Lock()

    # Groups

    def group_arn(self, name: str) -> str:
        """ARN of a group, from its name or ARN."""
        bare = name.rsplit("/", 1)[-1]
        return f"{self._arn('model-package-group')}/{bare}"

    def create_group(self, request: Mapping[str, Any]) -> str:
        """Make a group; its name must be free."""
        name = request["ModelPackageGroupName"]
        arn = self.group_arn(name)
        if self._store.get("group", name):
            raise ServiceError("ValidationException", f"Model Package Group already exists: {arn}")
        document = {
            "ModelPackageGroupName": name,
            "ModelPackageGroupArn": arn,
            "ModelPackageGroupDescription": request.get("ModelPackageGroupDescription"),
            "CreationTime": self._now(),
            "CreatedBy": {},
            "ModelPackageGroupStatus": "Completed",
        }
        self._store.put("group", name, document)
        return arn

    def group(self, name: str) -> dict[str, Any]:
        """A group by name or ARN."""
        found = self._store.get("group", name.rsplit("/", 1)[-1])
        if found is None:
            raise ServiceError(
                "ValidationException", f"ModelPackageGroup {self.group_arn(name)} does not exist."
            )
        return found

    def delete_group(self, name: str) -> None:
        """Forget an empty group."""
        group = self.group(name)
        if self._store.list("package", group["ModelPackageGroupName"]):
            raise ServiceError(
                "ConflictException",
                f"Model Package Group cannot be deleted because it still contains model packages: "
                f"{group['ModelPackageGroupArn']}",
            )
        self._store.delete("group", group["ModelPackageGroupName"])

    # Packages

    def package_arn(self, name: str) -> str:
        """ARN of a package, from its ARN or ``group/version``."""
        return name if name.startswith("arn:") else f"{self._arn('model-package')}/{name}"

    def create_package(self, request: Mapping[str, Any]) -> tuple[str, bool]:
        """Register the next version of a group; an equal ClientToken answers the first one's ARN, and True."""
        if "ModelPackageGroupName" not in request:
            raise ServiceError(
                "ValidationException", "the local cloud registers versioned packages only; name a group"
            )
        group = self.group(request["ModelPackageGroupName"])["ModelPackageGroupName"]
        with self._lock:
            token = f"package {group} {request['ClientToken']}" if request.get("ClientToken") else None
            if token and (known := self._store.get("token", token)):
                return str(known["arn"]), True
            versions = [package["ModelPackageVersion"] for package in self._store.list("package", group)]
            counter = self._store.get("token", f"version {group}") or {"last": 0}
            version = max([counter["last"], *versions]) + 1
            arn = f"{self._arn('model-package')}/{group}/{version}"
            kept = {
                key: value
                for key, value in request.items()
                if key not in ("ClientToken", "Tags", "ModelPackageGroupName", "ModelPackageName")
            }
            document = {
                "ModelApprovalStatus": "PendingManualApproval",
                **kept,
                "ModelPackageName": arn,
                "ModelPackageGroupName": group,
                "ModelPackageVersion": version,
                "ModelPackageArn": arn,
                "CreationTime": self._now(),
                "ModelPackageStatus": "Completed",
                "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
                "CreatedBy": {},
            }
            self._store.put("package", arn, document, parent=group)
            # A deleted version's number is not given again.
            self._store.put("token", f"version {group}", {"last": version})
            if token:
                self._store.put("token", token, {"arn": arn})
        self._events.model_package_changed(document)
        return arn, False

    def package(self, name: str) -> dict[str, Any]:
        """A package by ARN."""
        arn = self.package_arn(name)
        found = self._store.get("package", arn)
        if found is None:
            raise ServiceError("ValidationException", f"ModelPackage {arn} does not exist.")
        return found

    def packages(self, group: str | None) -> list[dict[str, Any]]:
        """Packages oldest first, of one group where given."""
        if group is None:
            return self._store.list("package")
        return self._store.list("package", self.group(group)["ModelPackageGroupName"])

    def update_package(self, request: Mapping[str, Any]) -> str:
        """Change approval, description or metadata; announces which fields changed."""
        arn = self.package(request["ModelPackageArn"])["ModelPackageArn"]
        changed = [name for name in UPDATABLE if name in request]

        def change(package: dict[str, Any]) -> dict[str, Any]:
            package |= {name: request[name] for name in changed}
            properties = dict(package.get("CustomerMetadataProperties") or {})
            for name in request.get("CustomerMetadataPropertiesToRemove") or ():
                properties.pop(name, None)
            properties |= request.get("CustomerMetadataProperties") or {}
            package |= {"CustomerMetadataProperties": properties, "LastModifiedTime": self._now()}
            return package

        package = self._store.update("package", arn, change)
        if {"CustomerMetadataProperties", "CustomerMetadataPropertiesToRemove"} & set(request):
            changed.append("CustomerMetadataProperties")
        self._events.model_package_changed(package, changed)
        return str(arn)

    def delete_package(self, name: str) -> None:
        """Forget a package; its number stays used."""
        self._store.delete("package", self.package(name)["ModelPackageArn"])

    def _arn(self, kind: str) -> str:
        return f"arn:aws:sagemaker:{self._host.region}:{self._host.account_id}:{kind}"

    def _now(self) -> float:
        return self._host.clock().timestamp()
