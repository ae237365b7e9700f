"""A backend that only plans: it invents the outputs that AWS would answer, so that no cloud is needed."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from rayline_infra.policies.graph import Resource
from rayline_local.provisioner.adapters import require_known

Inputs = Mapping[str, Any]
Outputs = dict[str, Any]
SUFFIX = "AbCdEf"


class Planner:
    """Records every resource; ids that AWS would draw at random follow from the logical name instead."""

    def __init__(self, account_id: str, region: str) -> None:
        self.resources: list[Resource] = []
        self._where = f"{region}:{account_id}"
        self._account_id = account_id
        self._region = region
        self._rules: Mapping[str, Callable[[str, Inputs], Outputs]] = {
            "aws:kms/key:Key": self._key,
            "aws:cloudcontrol/resource:Resource": self._datastore,
            "aws:sqs/queue:Queue": self._queue,
            "aws:secretsmanager/secret:Secret": self._secret,
            "aws:ecr/repository:Repository": self._repository,
            "aws:ecs/taskDefinition:TaskDefinition": self._task_definition,
            **{token: self._named(template) for token, template in NAMED_ARNS.items()},
        }

    def register(self, resource: Resource, plain_inputs: Inputs) -> tuple[str, Outputs]:
        """Record a resource and answer its planned outputs.

        Raises:
            ProvisionError: the local cloud does not know the type.
        """
        require_known(resource.type)
        rule = self._rules.get(resource.type)
        outputs = {**plain_inputs, **(rule(resource.name, plain_inputs) if rule else {})}
        self.resources.append(
            Resource(**{**resource.__dict__, "outputs": {**resource.inputs, **_added(outputs, plain_inputs)}})
        )
        return f"planned-{resource.name}", outputs

    def _named(self, template: str) -> Callable[[str, Inputs], Outputs]:
        def arn(name: str, inputs: Inputs) -> Outputs:
            values = {**inputs, "region": self._region, "account": self._account_id}
            return {"arn": template.format(**values)}

        return arn

    def _key(self, name: str, inputs: Inputs) -> Outputs:
        key_id = str(uuid5(NAMESPACE_URL, name))
        return {"keyId": key_id, "arn": f"arn:aws:kms:{self._where}:key/{key_id}"}

    def _datastore(self, name: str, inputs: Inputs) -> Outputs:
        datastore_id = uuid5(NAMESPACE_URL, name).hex
        arn = f"arn:aws:medical-imaging:{self._where}:datastore/{datastore_id}"
        return {"properties": f'{{"DatastoreId": "{datastore_id}", "DatastoreArn": "{arn}"}}'}

    def _queue(self, name: str, inputs: Inputs) -> Outputs:
        queue = inputs["name"]
        url = f"https://sqs.{self._region}.amazonaws.com/{self._account_id}/{queue}"
        return {"arn": f"arn:aws:sqs:{self._where}:{queue}", "url": url}

    def _secret(self, name: str, inputs: Inputs) -> Outputs:
        return {"arn": f"arn:aws:secretsmanager:{self._where}:secret:{inputs['name']}-{SUFFIX}"}

    def _repository(self, name: str, inputs: Inputs) -> Outputs:
        repository = inputs["name"]
        return {
            "arn": f"arn:aws:ecr:{self._where}:repository/{repository}",
            "repositoryUrl": f"{self._account_id}.dkr.ecr.{self._region}.amazonaws.com/{repository}",
        }

    def _task_definition(self, name: str, inputs: Inputs) -> Outputs:
        return {"arn": f"arn:aws:ecs:{self._where}:task-definition/{inputs['family']}:1", "revision": 1}


NAMED_ARNS: Mapping[str, str] = {
    "aws:cloudwatch/eventArchive:EventArchive": "arn:aws:events:{region}:{account}:archive/{name}",
    "aws:cloudwatch/eventBus:EventBus": "arn:aws:events:{region}:{account}:event-bus/{name}",
    "aws:cloudwatch/eventRule:EventRule": "arn:aws:events:{region}:{account}:rule/{name}",
    "aws:cloudwatch/logGroup:LogGroup": "arn:aws:logs:{region}:{account}:log-group:{name}",
    "aws:dynamodb/table:Table": "arn:aws:dynamodb:{region}:{account}:table/{name}",
    "aws:ecs/cluster:Cluster": "arn:aws:ecs:{region}:{account}:cluster/{name}",
    "aws:iam/role:Role": "arn:aws:iam::{account}:role/{name}",
    "aws:kms/alias:Alias": "arn:aws:kms:{region}:{account}:{name}",
    "aws:s3/bucket:Bucket": "arn:aws:s3:::{bucket}",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": (
        "arn:aws:sagemaker:{region}:{account}:model-package-group/{modelPackageGroupName}"
    ),
    "aws:sagemaker/pipeline:Pipeline": "arn:aws:sagemaker:{region}:{account}:pipeline/{pipelineName}",
    "aws:sns/topic:Topic": "arn:aws:sns:{region}:{account}:{name}",
}


def _added(outputs: Outputs, inputs: Inputs) -> Outputs:
    return {name: value for name, value in outputs.items() if name not in inputs}
