"""The YAML file that says who may use the API: people of a user pool or behind a load balancer, static tokens.

::

    load_balancer:
      signer: arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/rayline/0123456789abcdef
      issuer: https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc
      client: 1example23456789
      groups_claim: custom:groups
      groups:
        radiology-it: [quarantine:read, quarantine:write]
        data-protection: [quarantine:read, phi:read]
    user_pool:
      issuer: https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc
      client: 1example23456789
      groups: {operator: [quarantine:read, quarantine:write]}
    origins: ["https://viewer.hospital-a.org"]
    tokens:
      - {name: anna, sha256: "<64 hex digits>", permissions: [quarantine:read], expires: 2027-01-31T00:00:00Z}
"""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import yaml
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from rayline.errors import ConfigurationError
from rayline.http_api.access import Authenticator, FirstThatKnows, Permission
from rayline.http_api.access_tokens import AccessTokens, UserPool, read_keys
from rayline.http_api.bearer_tokens import BearerTokens, KnownToken
from rayline.http_api.load_balancer import LoadBalancer, LoadBalancerTokens, fetch_key_from


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenGrant(_Strict):
    """One static token."""

    name: str = Field(min_length=1, max_length=64)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    permissions: frozenset[Permission]
    expires: AwareDatetime | None = None


class LoadBalancerGrant(_Strict):
    """One load balancer, and what groups of its users may do."""

    signer: str
    issuer: str = Field(min_length=1)
    client: str = Field(min_length=1)
    groups_claim: str = Field(min_length=1)
    groups: dict[str, frozenset[Permission]] = Field(min_length=1)

    @field_validator("signer")
    @classmethod
    def _is_a_load_balancer(cls, signer: str) -> str:
        LoadBalancer(signer, "", "", "").region  # noqa: B018 - it raises where it is none
        return signer


class UserPoolGrant(_Strict):
    """One Cognito user pool, and what groups of its users may do."""

    issuer: str = Field(min_length=1)
    client: str = Field(min_length=1)
    groups: dict[str, frozenset[Permission]] = Field(min_length=1)


class AccessFile(_Strict):
    """Who may use the API.

    Attributes:
        origins: of pages, beside the API's own, that may change something.
    """

    load_balancer: LoadBalancerGrant | None = None
    user_pool: UserPoolGrant | None = None
    tokens: tuple[TokenGrant, ...] = ()
    origins: frozenset[str] = frozenset()

    def authenticator(self, clock: Callable[[], datetime], sign_in_keys: str = "") -> FirstThatKnows:
        """What tells those people.

        Args:
            sign_in_keys: the user pool's key set, where the file names one.

        Raises:
            ConfigurationError: the file names nobody, or a user pool whose keys are not given.
        """
        found: list[Authenticator] = []
        if self.user_pool is not None:
            pool = UserPool(**dict(self.user_pool))
            found.append(AccessTokens(pool, read_keys(sign_in_keys), clock=clock))
        if self.load_balancer is not None:
            expected = LoadBalancer(**dict(self.load_balancer))
            found.append(LoadBalancerTokens(expected, fetch_key_from(expected.region), clock=clock))
        if self.tokens:
            known = [KnownToken(**dict(each)) for each in self.tokens]
            found.append(BearerTokens(known, clock=clock))
        if not found:
            raise ConfigurationError(
                "the access file names nobody, so the API would let nobody in; add tokens (`rayline api token`), "
                "a user_pool or a load_balancer"
            )
        return FirstThatKnows(found)


def load_access_file(path: Path) -> AccessFile:
    """Read the file.

    Raises:
        ConfigurationError: it is missing or wrong; the message says where, and quotes no token.
    """
    try:
        text = path.read_text()
    except OSError:
        raise ConfigurationError(
            f"no access file at {path}; `rayline api token` shows how to begin one"
        ) from None
    return read_access(text, f"the access file {path}")


def read_access(text: str, where: str) -> AccessFile:
    """Read what an access file holds.

    Args:
        where: what the text is, in error messages.

    Raises:
        ConfigurationError: it is wrong; the message says where, and quotes no token.
    """
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"{where} is no YAML") from None
    try:
        return AccessFile.model_validate({} if document is None else document)
    except ValidationError as error:
        problems = ", ".join(
            f"{'.'.join(map(str, problem['loc']))} ({problem['msg'].lower()})" for problem in error.errors()
        )
        raise ConfigurationError(f"{where} is wrong: {problems}") from None
