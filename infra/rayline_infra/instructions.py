"""Commands that whoever runs a stack needs beside `rayline`, ready to be typed."""

from typing import get_args

import pulumi

from rayline.names import EstateNames, ServiceKind


def instructions(names: EstateNames, user_pool_id: pulumi.Output[str]) -> dict[str, pulumi.Input[str]]:
    """Commands by what they do; those that name what AWS made are known after the update."""
    region = f"--region {names.region}"
    found: dict[str, pulumi.Input[str]] = {
        "add_user": pulumi.Output.concat(
            f"aws cognito-idp admin-create-user {region} --user-pool-id ", user_pool_id,
            ' --username "$PERSON" --user-attributes Name=email,Value="$EMAIL" Name=email_verified,Value=true',
        ),
        "add_user_to_group": pulumi.Output.concat(
            f"aws cognito-idp admin-add-user-to-group {region} --user-pool-id ", user_pool_id,
            ' --username "$PERSON" --group-name radiologist',
        ),
    }  # fmt: skip
    services: tuple[ServiceKind, ...] = get_args(ServiceKind)
    for kind in services:
        found[f"follow_{kind}"] = f"aws logs tail {names.service_log_group(kind)} {region} --follow"
        found[f"restart_{kind}"] = (
            f"aws ecs update-service {region} --cluster {names.cluster} --service {names.service(kind)} "
            "--force-new-deployment"
        )
    return found
