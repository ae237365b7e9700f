"""The HealthImaging data store."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames

TYPE_NAME = "AWS::HealthImaging::Datastore"
# CloudFormation replaces a data store whose tags change, so they never do.
FIXED_TAGS = {"application": "rayline", "zone": "deidentified"}


@dataclass(frozen=True)
class DatastoreArgs:
    """Name and key of the data store."""

    names: EstateNames
    key_arn: pulumi.Input[str]


class Datastore(pulumi.ComponentResource):
    """One data store, protected and retained: it holds the only copy of the imported images.

    The AWS provider has no such resource, so it goes through Cloud Control.
    """

    def __init__(self, name: str, args: DatastoreArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:imaging:Datastore", name, None, opts)
        self._resource = aws.cloudcontrol.Resource(
            "datastore",
            type_name=TYPE_NAME,
            desired_state=pulumi.Output.json_dumps(
                {"DatastoreName": args.names.datastore, "KmsKeyArn": args.key_arn, "Tags": FIXED_TAGS},
                sort_keys=True,
            ),
            opts=pulumi.ResourceOptions(parent=self, protect=True, retain_on_delete=True),
        )
        self.register_outputs({})

    @property
    def datastore_id(self) -> pulumi.Output[str]:
        """Id of the data store."""
        return self._attribute("DatastoreId")

    @property
    def arn(self) -> pulumi.Output[str]:
        """ARN of the data store."""
        return self._attribute("DatastoreArn")

    def _attribute(self, name: str) -> pulumi.Output[str]:
        def read(properties: str) -> str:
            attributes: dict[str, Any] = json.loads(properties)
            return str(attributes[name])

        return self._resource.properties.apply(read)
