"""Policies of container repositories."""

import json

from rayline.names import EstateNames
from rayline_infra.policies.documents import EVERYONE, Statement, document

UNTAGGED_DAYS = 7
IMAGES_KEPT = 30


def lifecycle_policy() -> str:
    """Untagged images go after a week, and of the others the last thirty stay (ECR, "Lifecycle policies")."""
    rules = [
        {
            "rulePriority": 1,
            "description": "untagged images are leftovers of a push",
            "selection": {
                "tagStatus": "untagged",
                "countType": "sinceImagePushed",
                "countUnit": "days",
                "countNumber": UNTAGGED_DAYS,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "enough images to go back to",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": IMAGES_KEPT,
            },
            "action": {"type": "expire"},
        },
    ]
    return json.dumps({"rules": rules}, sort_keys=True)


def repository_policy(names: EstateNames) -> str:
    """Nobody of another account pulls or pushes, whatever else is ever granted here."""
    return document(
        Statement(
            sid="OnlyThisAccount",
            effect="Deny",
            principals=EVERYONE,
            actions=["ecr:*"],
            conditions={
                "StringNotEquals": {"aws:PrincipalAccount": names.account_id},
                # Inspector scans as a service, and so does ECR itself.
                "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
            },
        )
    )
