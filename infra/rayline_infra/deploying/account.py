"""The account that a deployment goes to, as far as deploying asks it."""

import base64
import secrets
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from rayline.errors import ConfigurationError

KEY_BYTES = 32
KEYS_SECONDS = 10.0
NO_IMAGE = ("ImageNotFoundException", "RepositoryNotFoundException")


@dataclass(frozen=True)
class RegistryLogin:
    """What `docker login` wants for a registry; good for 12 hours."""

    registry: str
    user: str
    password: str


class Account(Protocol):
    """What deploying asks of an account and does in it, beside Pulumi."""

    def account_id(self) -> str:
        """The account of the credentials at hand; raises ConfigurationError where there are none."""
        ...

    def has_image(self, repository: str, tag: str) -> bool:
        """Whether a repository holds an image under a tag."""
        ...

    def registry_login(self) -> RegistryLogin:
        """A login to the account's registry."""
        ...

    def give_key(self, secret_name: str) -> bool:
        """Give a secret without a value a random key; whether it had none."""
        ...

    def give_sign_in_keys(self, user_pool: str, parameter: str) -> bool:
        """Put the public keys of a user pool, by its name, into an SSM parameter; whether it held others."""
        ...

    def restart(self, cluster: str, service: str) -> None:
        """Have ECS replace the tasks of a service, one after the other."""
        ...

    def delete_models(self, group: str) -> int:
        """Delete the versions of a model package group, which SageMaker deletes only empty; how many there were."""
        ...


class AwsAccount:
    """The account of the credentials at hand, in one region."""

    def __init__(self, region: str) -> None:
        self._session = boto3.Session(region_name=region)

    def account_id(self) -> str:
        try:
            return str(self._client("sts").get_caller_identity()["Account"])
        except (BotoCoreError, ClientError) as error:
            raise ConfigurationError(
                f"no credentials that AWS takes ({type(error).__name__}); sign in: aws sso login"
            ) from error

    def has_image(self, repository: str, tag: str) -> bool:
        try:
            self._client("ecr").describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
        except ClientError as error:
            if error.response["Error"]["Code"] in NO_IMAGE:
                return False
            raise
        return True

    def registry_login(self) -> RegistryLogin:
        (data,) = self._client("ecr").get_authorization_token()["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return RegistryLogin(data["proxyEndpoint"].removeprefix("https://"), user, password)

    def give_key(self, secret_name: str) -> bool:
        client = self._client("secretsmanager")
        # Whoever deploys may write a secret, never read one: its own policy says so.
        if client.list_secret_version_ids(SecretId=secret_name)["Versions"]:
            return False
        client.put_secret_value(SecretId=secret_name, SecretString=secrets.token_hex(KEY_BYTES))
        return True

    def give_sign_in_keys(self, user_pool: str, parameter: str) -> bool:
        pages = self._client("cognito-idp").get_paginator("list_user_pools").paginate(MaxResults=60)
        pools = [pool["Id"] for page in pages for pool in page["UserPools"] if pool["Name"] == user_pool]
        if len(pools) != 1:
            raise ConfigurationError(
                f"the account has {len(pools)} user pools named {user_pool}; leave the stack's own"
            )
        url = (
            f"https://cognito-idp.{self._session.region_name}.amazonaws.com/{pools[0]}/.well-known/jwks.json"
        )
        try:
            with urllib.request.urlopen(url, timeout=KEYS_SECONDS) as answer:
                keys = answer.read().decode("ascii")
        except OSError as error:
            raise ConfigurationError(f"the user pool's keys cannot be fetched from {url}") from error
        client = self._client("ssm")
        if client.get_parameter(Name=parameter)["Parameter"]["Value"] == keys:
            return False
        client.put_parameter(Name=parameter, Value=keys, Overwrite=True)
        return True

    def restart(self, cluster: str, service: str) -> None:
        self._client("ecs").update_service(cluster=cluster, service=service, forceNewDeployment=True)

    def delete_models(self, group: str) -> int:
        client = self._client("sagemaker")
        pages = client.get_paginator("list_model_packages").paginate(ModelPackageGroupName=group)
        try:
            versions = [each["ModelPackageArn"] for page in pages for each in page["ModelPackageSummaryList"]]
        except ClientError as error:
            # The group is gone already: a run that broke off is run again.
            if "does not exist" in error.response["Error"]["Message"]:
                return 0
            raise
        for version in versions:
            client.delete_model_package(ModelPackageName=version)
        return len(versions)

    def _client(self, service: str) -> Any:
        return self._session.client(service)  # type: ignore[call-overload]
