"""Static bearer tokens (RFC 6750), for an API on the machine of those who use it; kept as digests only."""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rayline.http_api.access import NotAuthenticated, Permission, Principal

_SCHEME = "bearer"
_TOKEN_BYTES = 32


@dataclass(frozen=True)
class KnownToken:
    """A token, without itself.

    Attributes:
        sha256: hex SHA-256 of the token; it is random, so a plain digest gives nothing away.
        expires: when it ends to hold; None where it does not.
    """

    name: str
    sha256: str
    permissions: frozenset[Permission]
    expires: datetime | None = None


class BearerTokens:
    """Knows people by the tokens that they were given."""

    def __init__(self, tokens: Sequence[KnownToken], *, clock: Callable[[], datetime]) -> None:
        self._tokens = tokens
        self._clock = clock

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """Who sent ``Authorization: Bearer …``.

        Raises:
            NotAuthenticated: the token is not known, or has expired.
        """
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != _SCHEME:
            raise NotAuthenticated("the Authorization header is of another scheme than Bearer")
        digest = hashlib.sha256(token.strip().encode("utf-8", "surrogatepass")).hexdigest()
        # Every token is compared, in the same time each.
        found = [each for each in self._tokens if hmac.compare_digest(each.sha256, digest)]
        if not found:
            raise NotAuthenticated("the bearer token is not known")
        if found[0].expires is not None and found[0].expires <= self._clock():
            raise NotAuthenticated("the bearer token has expired")
        return Principal(found[0].name, found[0].permissions)


def new_token() -> tuple[str, str]:
    """A random token and its digest."""
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    return token, hashlib.sha256(token.encode()).hexdigest()
