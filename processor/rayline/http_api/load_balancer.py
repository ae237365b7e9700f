"""People whom the load balancer has signed in: the JWT that it adds to each request, checked as AWS asks.

Source: Elastic Load Balancing user guide, "Authenticate users using an Application Load Balancer", "User claims
encoding and signature verification": ES256, the key by its id from the region's endpoint, and the signer must be
our load balancer, since every other one has its tokens signed by the same service.
"""

import json
import re
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from rayline.http_api.access import AuthenticationUnavailable, NotAuthenticated, Permission, Principal

HEADER = "x-amzn-oidc-data"

_ALGORITHM = "ES256"
_KEY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SIGNER = re.compile(
    r"arn:aws[a-z-]*:elasticloadbalancing:(?P<region>[a-z0-9-]+):[0-9]{12}:loadbalancer/app/[\w-]+/[0-9a-f]+"
)
_KEYS_KEPT = 16
_KEY_SECONDS = 5.0
_LONGEST_TOKEN = 16 * 1024

FetchKey = Callable[[str], str]


@dataclass(frozen=True)
class LoadBalancer:
    """Whose tokens hold, and what their bearers may do.

    Attributes:
        signer: ARN of the load balancer.
        issuer: of the identity provider that it asks.
        client: our client id there.
        groups_claim: the user claim that lists groups.
        groups: permissions by group; a group that is not among them gives none.
    """

    signer: str
    issuer: str
    client: str
    groups_claim: str
    groups: Mapping[str, frozenset[Permission]] = field(default_factory=dict)

    @property
    def region(self) -> str:
        """The load balancer's.

        Raises:
            ValueError: the signer is no ARN of an application load balancer.
        """
        match = _SIGNER.fullmatch(self.signer)
        if match is None:
            raise ValueError("the signer is no ARN of an application load balancer")
        return match["region"]


def fetch_key_from(region: str) -> FetchKey:
    """Gets public keys, as PEM, from a region's endpoint by their ids."""

    def fetch(key_id: str) -> str:
        url = f"https://public-keys.auth.elb.{region}.amazonaws.com/{key_id}"
        with urllib.request.urlopen(url, timeout=_KEY_SECONDS) as answer:
            return str(answer.read(_LONGEST_TOKEN).decode("ascii"))

    return fetch


class LoadBalancerTokens:
    """Knows people by what the load balancer says of them."""

    def __init__(
        self, load_balancer: LoadBalancer, fetch_key: FetchKey, *, clock: Callable[[], datetime]
    ) -> None:
        self._expected = load_balancer
        self._fetch_key = fetch_key
        self._clock = clock
        self._keys: OrderedDict[str, PublicKeyTypes] = OrderedDict()
        self._lock = Lock()

    def authenticate(self, headers: Mapping[str, str]) -> Principal | None:
        """Who the header ``x-amzn-oidc-data`` says it is.

        Raises:
            NotAuthenticated: it is not signed for us by our load balancer, or has expired.
            AuthenticationUnavailable: the key cannot be fetched.
        """
        token = headers.get(HEADER)
        if token is None:
            return None
        if len(token) > _LONGEST_TOKEN:
            raise NotAuthenticated("the load balancer's token is too long")
        try:
            claims = self._claims(token)
        except jwt.PyJWTError as error:
            raise NotAuthenticated(
                f"the load balancer's token does not hold ({type(error).__name__})"
            ) from None
        subject = claims.get("sub")
        if not isinstance(subject, str) or not subject:
            raise NotAuthenticated("the load balancer's token names nobody")
        return Principal(subject, self._permissions(claims))

    def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        # All of these are under the signature, which is checked below.
        said = {name: header.get(name) for name in ("alg", "signer", "iss", "client")}
        expected = {
            "alg": _ALGORITHM,
            "signer": self._expected.signer,
            "iss": self._expected.issuer,
            "client": self._expected.client,
        }
        if wrong := [name for name, value in expected.items() if said[name] != value]:
            raise NotAuthenticated(f"the load balancer's token has another {', '.join(wrong)} than ours")
        key_id = header.get("kid")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise NotAuthenticated("the load balancer's token names no key")
        options: Any = {"verify_exp": False, "verify_aud": False, "verify_iat": False}  # by our clock, below
        claims = jwt.decode(token, self._key(key_id), algorithms=[_ALGORITHM], options=options)
        now = self._clock().timestamp()
        for expires in (header.get("exp"), claims.get("exp", header.get("exp"))):
            if not isinstance(expires, int | float) or expires <= now:
                raise NotAuthenticated("the load balancer's token has expired")
        return claims

    def _key(self, key_id: str) -> Any:
        with self._lock:
            if key_id in self._keys:
                self._keys.move_to_end(key_id)
                return self._keys[key_id]
        try:
            key = load_pem_public_key(self._fetch_key(key_id).encode())
        except urllib.error.HTTPError as error:
            if error.code in (403, 404):
                raise NotAuthenticated("the load balancer's token names a key that does not exist") from None
            raise AuthenticationUnavailable("the load balancer's keys cannot be fetched") from None
        except (OSError, ValueError, UnsupportedAlgorithm):
            raise AuthenticationUnavailable("the load balancer's keys cannot be fetched") from None
        with self._lock:
            self._keys[key_id] = key
            if len(self._keys) > _KEYS_KEPT:
                self._keys.popitem(last=False)
        return key

    def _permissions(self, claims: Mapping[str, Any]) -> frozenset[Permission]:
        groups = _listed(claims.get(self._expected.groups_claim))
        return frozenset().union(*(self._expected.groups.get(group, frozenset()) for group in groups))


def _listed(claim: Any) -> list[str]:
    """A claim that lists names: an array, an array as text, or names between commas, as Cognito writes attributes."""
    if isinstance(claim, str):
        try:
            parsed = json.loads(claim)
        except ValueError:
            parsed = None
        claim = parsed if isinstance(parsed, list) else claim.strip("[]").split(",")
    return [each.strip() for each in claim if isinstance(each, str)] if isinstance(claim, list) else []
