"""Who asks, and what he may do; whoever cannot be told apart is nobody, and nobody may do anything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Permission(StrEnum):
    """What the API lets somebody do."""

    QUARANTINE_READ = "quarantine:read"
    QUARANTINE_WRITE = "quarantine:write"
    PHI_READ = "phi:read"


@dataclass(frozen=True)
class Principal:
    """Somebody who was authenticated.

    Attributes:
        name: as the audit trail names him.
    """

    name: str
    permissions: frozenset[Permission]


class NotAuthenticated(Exception):
    """The request carries no credentials, or some that do not hold; the message says which, and never quotes them."""


class AuthenticationUnavailable(Exception):
    """What credentials are checked against cannot be reached, so nobody gets in."""


class Authenticator(Protocol):
    """Tells who sent a request."""

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """Who it is; None where the request carries no credentials of this kind.

        Args:
            headers: by lower-case name.

        Raises:
            NotAuthenticated: it carries some that do not hold.
            AuthenticationUnavailable: they cannot be checked now.
        """


class FirstThatKnows:
    """Asks several authenticators; credentials that one of them refuses are not shown to the next."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        if not authenticators:
            raise ValueError("an API without an authenticator lets nobody in")
        self._authenticators = authenticators

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """Who it is.

        Raises:
            NotAuthenticated: nobody that is known.
            AuthenticationUnavailable: the credentials cannot be checked now.
        """
        for each in self._authenticators:
            principal = each.authenticate(headers)
            if principal is not None:
                return principal
        raise NotAuthenticated("the request carries no credentials")
