"""The HealthImaging data store, which the program declares through Cloud Control."""

import hashlib
import json
import time
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tolerate
from rayline_local.provisioner.clients import Clients

TYPE_NAME = "AWS::HealthImaging::Datastore"
GONE = ("ResourceNotFoundException",)
ACTIVE_SECONDS = 60
POLL_SECONDS = 0.2


class CloudControlAdapter:
    """``aws:cloudcontrol/resource:Resource`` of a data store; MiniStack's Cloud Control makes nothing.

    Its id is the data store's; ``properties`` is the JSON that Cloud Control answers.
    """

    replaced_by = frozenset({"typeName"})

    def __init__(self, clients: Clients) -> None:
        self._imaging = clients.get("medical-imaging")
        self._kms = clients.get("kms")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        if inputs["typeName"] != TYPE_NAME:
            raise ValueError(f"Cloud Control type {inputs['typeName']} is not known here; write its adapter")
        wanted = json.loads(inputs["desiredState"])
        datastore_id = existing_id or self._find(wanted["DatastoreName"]) or self._create(wanted)
        properties = self._wait_until_active(datastore_id)
        self._refuse_changes(properties, wanted)
        return Made(
            datastore_id,
            {
                "properties": json.dumps(
                    {
                        **wanted,
                        "DatastoreId": properties["datastoreId"],
                        "DatastoreArn": properties["datastoreArn"],
                        "DatastoreStatus": properties["datastoreStatus"],
                    },
                    sort_keys=True,
                )
            },
        )

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        found = self._get(resource_id)
        return found is not None and found["datastoreStatus"] == "ACTIVE"

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._imaging.delete_datastore(datastoreId=resource_id))

    def _refuse_changes(self, found: Any, wanted: dict[str, Any]) -> None:
        """Every property of a data store is create-only (AWS::HealthImaging::Datastore).

        The one exception is local: a killed local cloud forgets its keys but not its images, and the data
        store then keeps the ARN of the key that is gone.
        """
        if found["datastoreName"] != wanted["DatastoreName"]:
            raise RuntimeError("a data store cannot be renamed; undo the change, or rayline local reset")
        key = found.get("kmsKeyArn")
        if key == wanted["KmsKeyArn"]:
            return
        if key and tolerate(("NotFoundException",), lambda: self._kms.describe_key(KeyId=key)) is not None:
            raise RuntimeError("a data store cannot change its key; undo the change, or rayline local reset")

    def _create(self, wanted: dict[str, Any]) -> str:
        token = hashlib.sha256(json.dumps(wanted, sort_keys=True).encode()).hexdigest()
        made = self._imaging.create_datastore(
            datastoreName=wanted["DatastoreName"],
            kmsKeyArn=wanted["KmsKeyArn"],
            tags=wanted.get("Tags", {}),
            clientToken=token,
        )
        return str(made["datastoreId"])

    def _find(self, name: str) -> str | None:
        for page in self._imaging.get_paginator("list_datastores").paginate():
            for summary in page["datastoreSummaries"]:
                if summary["datastoreName"] == name and summary["datastoreStatus"] in ("ACTIVE", "CREATING"):
                    return str(summary["datastoreId"])
        return None

    def _get(self, datastore_id: str) -> Any:
        found = tolerate(GONE, lambda: self._imaging.get_datastore(datastoreId=datastore_id))
        return None if found is None else found["datastoreProperties"]

    def _wait_until_active(self, datastore_id: str) -> Any:
        deadline = time.monotonic() + ACTIVE_SECONDS
        while True:
            found = self._get(datastore_id)
            if found is not None and found["datastoreStatus"] == "ACTIVE":
                return found
            if found is None or found["datastoreStatus"] != "CREATING" or time.monotonic() > deadline:
                status = "gone" if found is None else found["datastoreStatus"]
                raise RuntimeError(f"data store {datastore_id} is {status}, not ACTIVE")
            time.sleep(POLL_SECONDS)
