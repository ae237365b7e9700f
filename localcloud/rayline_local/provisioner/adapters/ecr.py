"""ECR repositories."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs, Made, tag_list, tolerate
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.clients import Clients

GONE = ("RepositoryNotFoundException",)


class RepositoryAdapter:
    """``aws:ecr/repository:Repository``."""

    replaced_by = frozenset({"name", "encryptionConfigurations"})

    def __init__(self, clients: Clients) -> None:
        self._ecr = clients.get("ecr")

    def put(self, inputs: Inputs, existing_id: str | None) -> Made:
        name = inputs["name"]
        scan = {"scanOnPush": bool((inputs.get("imageScanningConfiguration") or {}).get("scanOnPush"))}
        mutability = inputs.get("imageTagMutability", "MUTABLE")
        if not self.exists(name, inputs):
            self._ecr.create_repository(
                repositoryName=name,
                imageTagMutability=mutability,
                imageScanningConfiguration=scan,
                tags=tag_list(inputs),
            )
        self._ecr.put_image_tag_mutability(repositoryName=name, imageTagMutability=mutability)
        self._ecr.put_image_scanning_configuration(repositoryName=name, imageScanningConfiguration=scan)
        found = self._describe(name)
        return Made(name, {"arn": found["repositoryArn"], "repositoryUrl": found["repositoryUri"]})

    def exists(self, resource_id: str, inputs: Inputs) -> bool:
        return tolerate(GONE, lambda: self._describe(resource_id)) is not None

    def delete(self, resource_id: str, inputs: Inputs) -> None:
        tolerate(GONE, lambda: self._ecr.delete_repository(repositoryName=resource_id))

    def _describe(self, name: str) -> Any:
        return self._ecr.describe_repositories(repositoryNames=[name])["repositories"][0]


def _lifecycle(ecr: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(ecr.get_lifecycle_policy(repositoryName=inputs["repository"]))


LIFECYCLE_POLICY = Recipe(
    service="ecr",
    find=_lifecycle,
    identity="repositoryName",
    create="PutLifecyclePolicy",
    update="PutLifecyclePolicy",
    renamed={"repositoryName": "repository", "lifecyclePolicyText": "policy"},
    delete=("DeleteLifecyclePolicy", "repositoryName"),
    outputs={"registryId": "{registryId}"},
    replaced_by=frozenset({"repository"}),
)


def _policy(ecr: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(ecr.get_repository_policy(repositoryName=inputs["repository"]))


REPOSITORY_POLICY = Recipe(
    service="ecr",
    find=_policy,
    identity="repositoryName",
    create="SetRepositoryPolicy",
    update="SetRepositoryPolicy",
    renamed={"repositoryName": "repository", "policyText": "policy"},
    delete=("DeleteRepositoryPolicy", "repositoryName"),
    outputs={"registryId": "{registryId}"},
    replaced_by=frozenset({"repository"}),
)
