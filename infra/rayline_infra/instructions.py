"""Commands that whoever runs a stack needs after an update, ready to be typed."""

import shlex

import pulumi

from rayline.names import EstateNames, RepositoryKind, ServiceKind
from rayline_infra.deploying.images import MADE_FROM, Image, build_command
from rayline_infra.settings import StackSettings


def instructions(
    names: EstateNames,
    settings: StackSettings,
    user_pool_id: pulumi.Output[str],
    keys_url: pulumi.Output[str],
) -> dict[str, pulumi.Input[str]]:
    """Commands by what they do; those that name what AWS made are known after the update."""
    region = f"--region {names.region}"
    registry = names.repository_url("processor").partition("/")[0]
    tags: dict[RepositoryKind, str] = {
        "processor": settings.processor.image_tag,
        "api": settings.api.image_tag,
        "gateway": settings.gateway.image_tag,
        "training": settings.training.image_tag,
    }
    found: dict[str, pulumi.Input[str]] = {
        "log_in_to_registry": (
            f"aws ecr get-login-password {region} | docker login --username AWS --password-stdin {registry}"
        ),
        "put_sign_in_keys": pulumi.Output.concat(
            f"aws ssm put-parameter {region} --overwrite --name {names.sign_in_keys_parameter} --value ",
            '"$(curl --fail --silent --show-error ', keys_url, ')"',
        ),
        "restart_api": _restart(names, "api"),
        "restart_processor": _restart(names, "processor"),
        "put_viewer": f"aws s3 sync viewer/dist s3://{names.bucket('viewer')} {region} --delete",
        "add_user": pulumi.Output.concat(
            f"aws cognito-idp admin-create-user {region} --user-pool-id ", user_pool_id,
            ' --username "$PERSON" --user-attributes Name=email,Value="$EMAIL" Name=email_verified,Value=true',
        ),
        "add_user_to_group": pulumi.Output.concat(
            f"aws cognito-idp admin-add-user-to-group {region} --user-pool-id ", user_pool_id,
            ' --username "$PERSON" --group-name radiologist',
        ),
    }  # fmt: skip
    if settings.processor.collector_image_tag:
        tags["collector"] = settings.processor.collector_image_tag
    for kind, tag in tags.items():
        image = Image(names.repository(kind), names.repository_url(kind), tag)
        found[f"push_{kind}"] = shlex.join(build_command(image, kind, MADE_FROM))
    return found


def _restart(names: EstateNames, kind: ServiceKind) -> str:
    return (
        f"aws ecs update-service --region {names.region} --cluster {names.cluster} --service {names.service(kind)} "
        "--force-new-deployment"
    )
