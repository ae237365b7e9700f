"""Container repositories: whatever runs in the estate is pulled from here, since no task has a way elsewhere."""

from dataclasses import dataclass
from typing import get_args

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames, RepositoryKind
from rayline_infra.policies.registry import lifecycle_policy, repository_policy

REPOSITORIES: tuple[RepositoryKind, ...] = get_args(RepositoryKind)


@dataclass(frozen=True)
class RegistryArgs:
    """Names, the key of the images, and whether a repository that holds some may not be deleted."""

    names: EstateNames
    key_arn: pulumi.Input[str]
    deletion_protection: bool


class Registry(pulumi.ComponentResource):
    """One repository for each image, scanned on push, whose tags never move."""

    def __init__(self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:registry:Registry", name, None, opts)
        self._repositories = {kind: self._declare(kind, args) for kind in REPOSITORIES}
        self.register_outputs({})

    def image(self, kind: RepositoryKind, tag: str) -> pulumi.Output[str]:
        """The image with a tag, as a task definition names it."""
        return self._repositories[kind].repository_url.apply(lambda url: f"{url}:{tag}")

    def url(self, kind: RepositoryKind) -> pulumi.Output[str]:
        """Address of a repository, without a tag."""
        return self._repositories[kind].repository_url

    def _declare(self, kind: RepositoryKind, args: RegistryArgs) -> aws.ecr.Repository:
        child = pulumi.ResourceOptions(parent=self)
        repository = aws.ecr.Repository(
            f"{kind}-repository",
            name=args.names.repository(kind),
            # A tag that can move would change what a task or a recorded model was built from.
            image_tag_mutability="IMMUTABLE",
            # ECR deletes no repository that holds images unless it is told to.
            force_delete=not args.deletion_protection,
            image_scanning_configuration=aws.ecr.RepositoryImageScanningConfigurationArgs(scan_on_push=True),
            # Whoever pulls needs no right to the key: ECR decrypts by a grant of its own.
            encryption_configurations=[
                aws.ecr.RepositoryEncryptionConfigurationArgs(encryption_type="KMS", kms_key=args.key_arn)
            ],
            opts=child,
        )
        aws.ecr.LifecyclePolicy(
            f"{kind}-lifecycle", repository=repository.name, policy=lifecycle_policy(), opts=child
        )
        aws.ecr.RepositoryPolicy(
            f"{kind}-repository-policy",
            repository=repository.name,
            policy=repository_policy(args.names),
            opts=child,
        )
        return repository
