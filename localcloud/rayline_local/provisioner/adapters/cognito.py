"""Cognito user pools and what belongs to them."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe
from rayline_local.provisioner.adapters.requests import request_for

SERVICE = "cognito-idp"
LISTED = 60


def _pool(cognito: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    pool_id = resource_id
    for each in cognito.list_user_pools(MaxResults=LISTED)["UserPools"] if pool_id is None else ():
        if each["Name"] == inputs["name"]:
            pool_id = each["Id"]
    return dict(cognito.describe_user_pool(UserPoolId=pool_id)["UserPool"]) if pool_id else None


def _pool_request(cognito: Any, operation: str, inputs: Inputs) -> dict[str, Any]:
    given = dict(inputs)
    if policy := given.pop("passwordPolicy", None):
        given["Policies"] = {"passwordPolicy": policy}
    return request_for(
        cognito, operation, given, {"PoolName": "name", "Schema": "schemas", "UserPoolTags": "tags"}
    )


def _update_pool(cognito: Any, pool: Found, inputs: Inputs) -> None:
    request = _pool_request(cognito, "UpdateUserPool", inputs)
    cognito.update_user_pool(**{**request, "UserPoolId": pool["Id"]})


def _settle_pool(cognito: Any, pool: Found, inputs: Inputs) -> None:
    token = inputs.get("softwareTokenMfaConfiguration") or {}
    if inputs.get("mfaConfiguration", "OFF") != "OFF":
        cognito.set_user_pool_mfa_config(
            UserPoolId=pool["Id"],
            SoftwareTokenMfaConfiguration={"Enabled": bool(token.get("enabled"))},
            MfaConfiguration=inputs["mfaConfiguration"],
        )


def _delete_pool(cognito: Any, pool_id: str, inputs: Inputs) -> None:
    if inputs.get("deletionProtection") == "ACTIVE":
        raise RuntimeError("deletion protection is on; switch it off in one run, remove in the next")
    cognito.delete_user_pool(UserPoolId=pool_id)


USER_POOL = Recipe(
    service=SERVICE,
    find=_pool,
    identity="Id",
    create=lambda cognito, inputs: cognito.create_user_pool(
        **_pool_request(cognito, "CreateUserPool", inputs)
    ),
    delete=_delete_pool,
    update=_update_pool,
    settle=_settle_pool,
    outputs={"arn": "{Arn}", "endpoint": "cognito-idp.{region}.amazonaws.com/{id}"},
    replaced_by=frozenset({"name", "usernameAttributes", "usernameConfiguration", "schemas"}),
)


def _client(cognito: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    pool_id, client_id = inputs["userPoolId"], resource_id
    found = cognito.list_user_pool_clients(UserPoolId=pool_id, MaxResults=LISTED)["UserPoolClients"]
    for each in found if client_id is None else ():
        if each["ClientName"] == inputs["name"]:
            client_id = each["ClientId"]
    if client_id is None:
        return None
    return dict(cognito.describe_user_pool_client(UserPoolId=pool_id, ClientId=client_id)["UserPoolClient"])


CLIENT_RENAMED = {"ClientName": "name", "CallbackURLs": "callbackUrls", "LogoutURLs": "logoutUrls"}
USER_POOL_CLIENT = Recipe(
    service=SERVICE,
    find=_client,
    identity="ClientId",
    create="CreateUserPoolClient",
    update="UpdateUserPoolClient",
    update_by="ClientId",
    renamed=CLIENT_RENAMED,
    delete=lambda cognito, client_id, inputs: cognito.delete_user_pool_client(
        UserPoolId=inputs["userPoolId"], ClientId=client_id
    ),
    more_outputs=lambda cognito, client: (
        {"clientSecret": client["ClientSecret"]} if "ClientSecret" in client else {}
    ),
    replaced_by=frozenset({"name", "userPoolId", "generateSecret"}),
)


def _domain(cognito: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = cognito.describe_user_pool_domain(Domain=inputs["domain"])["DomainDescription"]
    return dict(found) if found.get("UserPoolId") == inputs["userPoolId"] else None


USER_POOL_DOMAIN = Recipe(
    service=SERVICE,
    find=_domain,
    identity="{domain}",
    create=lambda cognito, inputs: cognito.create_user_pool_domain(
        Domain=inputs["domain"], UserPoolId=inputs["userPoolId"]
    ),
    delete=lambda cognito, domain, inputs: cognito.delete_user_pool_domain(
        Domain=domain, UserPoolId=inputs["userPoolId"]
    ),
    # MiniStack makes no distribution for a domain; on AWS this is the distribution's host.
    outputs={
        "cloudfrontDistribution": "d111111abcdef8.cloudfront.net",
        "cloudfrontDistributionArn": "d111111abcdef8.cloudfront.net",
        "cloudfrontDistributionZoneId": "Z2FDTNDATAQYW2",
    },
    replaced_by=frozenset({"domain", "userPoolId", "certificateArn"}),
)


def _provider(cognito: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = cognito.describe_identity_provider(
        UserPoolId=inputs["userPoolId"], ProviderName=inputs["providerName"]
    )
    return dict(found["IdentityProvider"])


def _named_provider(cognito: Any, operation: str, inputs: Inputs) -> Any:
    method = getattr(cognito, {"Create": "create", "Update": "update"}[operation] + "_identity_provider")
    request = request_for(cognito, f"{operation}IdentityProvider", inputs)
    return method(**request)


IDENTITY_PROVIDER = Recipe(
    service=SERVICE,
    find=_provider,
    identity="{userPoolId}:{providerName}",
    create=lambda cognito, inputs: _named_provider(cognito, "Create", inputs),
    update=lambda cognito, found, inputs: _named_provider(cognito, "Update", inputs),
    delete=lambda cognito, resource_id, inputs: cognito.delete_identity_provider(
        UserPoolId=inputs["userPoolId"], ProviderName=inputs["providerName"]
    ),
    replaced_by=frozenset({"userPoolId", "providerName", "providerType"}),
)


def _group(cognito: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    return dict(cognito.get_group(GroupName=inputs["name"], UserPoolId=inputs["userPoolId"])["Group"])


USER_GROUP = Recipe(
    service=SERVICE,
    find=_group,
    identity="{userPoolId}/{name}",
    create="CreateGroup",
    renamed={"GroupName": "name"},
    # MiniStack has no UpdateGroup.
    replaced_by=frozenset({"userPoolId", "name", "description", "precedence", "roleArn"}),
    delete=lambda cognito, resource_id, inputs: cognito.delete_group(
        GroupName=inputs["name"], UserPoolId=inputs["userPoolId"]
    ),
)
