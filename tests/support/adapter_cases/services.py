"""Identities, secrets, buckets, images and tasks."""

import json
from collections.abc import Mapping
from typing import Any

from support.adapter_cases.case import POLICY, Case, World


def image_rules(count: int) -> str:
    selection = {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": count}
    return json.dumps({"rules": [{"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}]})


def service(world: World) -> Any:
    return world.client("ecs").describe_services(cluster=world.cluster.id, services=["adapters"])["services"][
        0
    ]


def versioned(world: World, name: str) -> str:
    world.need("aws:s3/bucket:Bucket", {"bucket": name})
    return world.need(
        "aws:s3/bucketVersioning:BucketVersioning",
        {"bucket": name, "versioningConfiguration": {"status": "Enabled"}},
    ).id


CASES: Mapping[str, Case] = {
    "aws:cognito/identityProvider:IdentityProvider": Case(
        lambda world: {
            "userPoolId": world.user_pool.id,
            "providerName": "hospital",
            "providerType": "SAML",
            "providerDetails": {"MetadataURL": "https://sso.example.org/metadata"},
            "attributeMapping": {"email": "email"},
        },
        {"providerDetails": {"MetadataURL": "https://sso.example.org/other"}},
        lambda world, _: world.client("cognito-idp").describe_identity_provider(
            UserPoolId=world.user_pool.id, ProviderName="hospital"
        )["IdentityProvider"]["ProviderDetails"]["MetadataURL"],
        "https://sso.example.org/other",
    ),
    "aws:cognito/userGroup:UserGroup": Case(
        lambda world: {"userPoolId": world.user_pool.id, "name": "readers", "description": "who read"}
    ),
    "aws:cognito/userPool:UserPool": Case(
        lambda world: {
            "name": "adapters",
            "mfaConfiguration": "ON",
            "softwareTokenMfaConfiguration": {"enabled": True},
            "passwordPolicy": {"minimumLength": 14, "requireNumbers": True},
            "adminCreateUserConfig": {"allowAdminCreateUserOnly": True},
            "accountRecoverySetting": {"recoveryMechanisms": [{"name": "verified_email", "priority": 1}]},
            "deletionProtection": "INACTIVE",
        },
        {"passwordPolicy": {"minimumLength": 16, "requireNumbers": True}},
        lambda world, resource_id: (
            world.client("cognito-idp").describe_user_pool(UserPoolId=resource_id)["UserPool"]["Policies"][
                "PasswordPolicy"
            ]["MinimumLength"],
            world.client("cognito-idp").get_user_pool_mfa_config(UserPoolId=resource_id)["MfaConfiguration"],
        ),
        (16, "ON"),
    ),
    "aws:cognito/userPoolClient:UserPoolClient": Case(
        lambda world: {
            "userPoolId": world.user_pool.id,
            "name": "viewer",
            "allowedOauthFlows": ["code"],
            "allowedOauthFlowsUserPoolClient": True,
            "allowedOauthScopes": ["openid"],
            "callbackUrls": ["https://viewer.example.org/"],
            "supportedIdentityProviders": ["COGNITO"],
            "accessTokenValidity": 60,
            "tokenValidityUnits": {"accessToken": "minutes"},
        },
        {"callbackUrls": ["https://viewer.example.org/back"]},
        lambda world, resource_id: world.client("cognito-idp").describe_user_pool_client(
            UserPoolId=world.user_pool.id, ClientId=resource_id
        )["UserPoolClient"]["CallbackURLs"],
        ["https://viewer.example.org/back"],
    ),
    "aws:cognito/userPoolDomain:UserPoolDomain": Case(
        lambda world: {"userPoolId": world.user_pool.id, "domain": "adapters"}
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Case(
        lambda world: {"repository": world.repository.id, "policy": image_rules(10)},
        {"policy": image_rules(20)},
        lambda world, _: json.loads(
            world.client("ecr").get_lifecycle_policy(repositoryName="adapters-needed")["lifecyclePolicyText"]
        ),
        json.loads(image_rules(20)),
    ),
    "aws:ecr/repositoryPolicy:RepositoryPolicy": Case(
        lambda world: {"repository": world.repository.id, "policy": json.dumps(POLICY)}
    ),
    "aws:ecs/clusterCapacityProviders:ClusterCapacityProviders": Case(
        lambda world: {
            "clusterName": world.cluster.id.rpartition("/")[2],
            "capacityProviders": ["FARGATE", "FARGATE_SPOT"],
            "defaultCapacityProviderStrategies": [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        },
        {"defaultCapacityProviderStrategies": [{"capacityProvider": "FARGATE", "weight": 1}]},
        lambda world, _: world.client("ecs").describe_clusters(clusters=[world.cluster.id])["clusters"][0][
            "defaultCapacityProviderStrategy"
        ][0]["capacityProvider"],
        "FARGATE",
    ),
    "aws:ecs/service:Service": Case(
        lambda world: {
            "name": "adapters",
            "cluster": world.cluster.id,
            "taskDefinition": world.task.outputs["arn"],
            "desiredCount": 2,
            "launchType": "FARGATE",
            "networkConfiguration": {
                "subnets": [world.subnet.id],
                "securityGroups": [world.security_group.id],
                "assignPublicIp": False,
            },
            "loadBalancers": [
                {"targetGroupArn": world.target_group.id, "containerName": "main", "containerPort": 80}
            ],
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
            "deploymentMinimumHealthyPercent": 50,
        },
        {"deploymentMinimumHealthyPercent": 100},
        lambda world, resource_id: (
            service(world)["deploymentConfiguration"]["minimumHealthyPercent"],
            service(world)["deploymentConfiguration"]["deploymentCircuitBreaker"]["rollback"],
            service(world)["networkConfiguration"]["awsvpcConfiguration"]["assignPublicIp"],
            service(world)["desiredCount"],
        ),
        (100, True, "DISABLED", 0),
    ),
    "aws:iam/rolePolicyAttachment:RolePolicyAttachment": Case(
        lambda world: {"role": world.role.id, "policyArn": "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole"}
    ),
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": Case(
        lambda world: {
            "bucket": world.bucket.id,
            "rules": [
                {
                    "id": "imported",
                    "status": "Enabled",
                    "filter": {"and": {"prefix": "upload/", "tags": {"imported": "true"}}},
                    "expiration": {"days": 7},
                    "transitions": [{"days": 90, "storageClass": "INTELLIGENT_TIERING"}],
                    "noncurrentVersionExpiration": {"noncurrentDays": 30},
                    "abortIncompleteMultipartUpload": {"daysAfterInitiation": 7},
                }
            ],
        },
        {"rules": [{"id": "all", "status": "Enabled", "expiration": {"days": 1}}]},
        lambda world, _: [
            (each["ID"], each["Filter"])
            for each in world.client("s3").get_bucket_lifecycle_configuration(Bucket=world.bucket.id)["Rules"]
        ],
        [("all", {"Prefix": ""})],
    ),
    "aws:s3/bucketLogging:BucketLogging": Case(
        lambda world: {"bucket": world.bucket.id, "targetBucket": world.bucket.id, "targetPrefix": "a/"},
        {"targetPrefix": "b/"},
        lambda world, _: world.client("s3").get_bucket_logging(Bucket=world.bucket.id)["LoggingEnabled"][
            "TargetPrefix"
        ],
        "b/",
    ),
    "aws:s3/bucketObjectLockConfiguration:BucketObjectLockConfiguration": Case(
        lambda world: {
            "bucket": world.need(
                "aws:s3/bucket:Bucket", {"bucket": "adapters-locked", "objectLockEnabled": True}
            ).id,
            "rule": {"defaultRetention": {"mode": "COMPLIANCE", "days": 1}},
        },
        {"rule": {"defaultRetention": {"mode": "GOVERNANCE", "days": 2}}},
        lambda world, resource_id: world.client("s3").get_object_lock_configuration(Bucket=resource_id)[
            "ObjectLockConfiguration"
        ]["Rule"]["DefaultRetention"],
        {"Mode": "GOVERNANCE", "Days": 2},
        permanent=True,
    ),
    "aws:s3/bucketReplicationConfig:BucketReplicationConfig": Case(
        lambda world: {
            "bucket": versioned(world, "adapters-source"),
            "role": world.role.outputs["arn"],
            "rules": [
                {
                    "id": "all",
                    "status": "Enabled",
                    "priority": 1,
                    "filter": {},
                    "deleteMarkerReplication": {"status": "Disabled"},
                    "destination": {
                        "bucket": f"arn:aws:s3:::{versioned(world, 'adapters-replica')}",
                        "encryptionConfiguration": {"replicaKmsKeyId": "arn:aws:kms:us-east-1:123456789012:key/1"},
                    },
                    "sourceSelectionCriteria": {"sseKmsEncryptedObjects": {"status": "Enabled"}},
                }
            ],
        }
    ),
    "aws:secretsmanager/secretPolicy:SecretPolicy": Case(
        lambda world: {"secretArn": world.secret.id, "policy": json.dumps(POLICY)},
        {"policy": json.dumps({**POLICY, "Statement": []})},
        lambda world, resource_id: json.loads(
            world.client("secretsmanager").get_resource_policy(SecretId=resource_id)["ResourcePolicy"]
        )["Statement"],
        [],
    ),
    "aws:ssm/parameter:Parameter": Case(
        lambda world: {"name": "/adapters/one", "type": "String", "value": "1"},
        {"value": "2"},
        lambda world, _: world.client("ssm").get_parameter(Name="/adapters/one")["Parameter"]["Value"],
        "2",
    ),
}  # fmt: skip
