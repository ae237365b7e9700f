"""People whom a Cognito user pool has signed in: the access token that their viewer sends, checked by the pool's keys.

Source: Amazon Cognito developer guide, "Verifying JSON web tokens": RS256 by a key of the pool's key set, the issuer
is the pool, ``token_use`` is ``access`` and ``client_id`` is our client. The keys are given, since a task that has no
way to the internet can fetch none; a token of a key that is not among them does not hold.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import jwt

from rayline.errors import ConfigurationError
from rayline.http_api.access import NotAuthenticated, Permission, Principal

_ALGORITHM = "RS256"
_SCHEME = "bearer"
_LONGEST_TOKEN = 16 * 1024
_GROUPS_CLAIM = "cognito:groups"


@dataclass(frozen=True)
class UserPool:
    """Whose tokens hold, and what their bearers may do.

    Attributes:
        issuer: the pool, as its tokens name it.
        client: id of the viewer's client.
        groups: permissions by group; a group that is not among them gives none.
    """

    issuer: str
    client: str
    groups: Mapping[str, frozenset[Permission]] = field(default_factory=dict)


def read_keys(text: str) -> dict[str, Any]:
    """Public keys by their ids.

    Args:
        text: the pool's key set (RFC 7517), as it publishes it.

    Raises:
        ConfigurationError: it is none, or has no key.
    """
    try:
        found = jwt.PyJWKSet.from_dict(json.loads(text)).keys
        keys = {str(each.key_id): each.key for each in found if each.key_id}
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError):
        keys = {}
    if not keys:
        raise ConfigurationError(
            "RAYLINE_API_SIGN_IN_KEYS holds no keys of the user pool; put what it publishes at "
            ".well-known/jwks.json into the stack's parameter, and deploy the API again"
        )
    return keys


class AccessTokens:
    """Knows people by what their user pool says of them."""

    def __init__(self, pool: UserPool, keys: Mapping[str, Any], *, clock: Callable[[], datetime]) -> None:
        self._pool = pool
        self._keys = keys
        self._clock = clock

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """Who the bearer token says it is.

        Raises:
            NotAuthenticated: it is not signed for us by our pool, or has expired.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != _SCHEME or token.count(".") != 2:
            return None
        if len(token) > _LONGEST_TOKEN:
            raise NotAuthenticated("the access token is too long")
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            raise NotAuthenticated(f"the access token does not hold ({type(error).__name__})") from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise NotAuthenticated("the access token names nobody")
        return Principal(subject, self._permissions(claims))

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        key = self._keys.get(str(header.get("kid")))
        if header.get("alg") != _ALGORITHM or key is None:
            raise NotAuthenticated("the access token is not signed by our user pool")
        # Expiry is checked by our clock, below; Cognito's access tokens have no audience.
        options: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False}
        claims = jwt.decode(token, key, algorithms=[_ALGORITHM], issuer=self._pool.issuer, options=options)
        expected = {"token_use": "access", "client_id": self._pool.client}
        if wrong := [name for name, value in expected.items() if claims.get(name) != value]:
            raise NotAuthenticated(f"the access token has another {', '.join(wrong)} than ours")
        expires = claims.get("exp")
        if not isinstance(expires, int | float) or expires <= self._clock().timestamp():
            raise NotAuthenticated("the access token has expired")
        return claims

    def _permissions(self, claims: Mapping[str, Any]) -> frozenset[Permission]:
        listed = claims.get(_GROUPS_CLAIM)
        groups = [each for each in listed if isinstance(each, str)] if isinstance(listed, list) else []
        return frozenset().union(*(self._pool.groups.get(group, frozenset()) for group in groups))
