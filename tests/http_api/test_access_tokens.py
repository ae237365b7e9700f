"""An access token holds only where our user pool has signed it, for our client, and lately."""

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support.manual_clock import ManualClock

from rayline.errors import ConfigurationError
from rayline.http_api.access import NotAuthenticated, Permission
from rayline.http_api.access_tokens import AccessTokens, UserPool, read_keys

ISSUER = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_abcDEF123"
KEY_ID = "aBcDeFgHiJkLmNoP="
OURS = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ANOTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
POOL = UserPool(ISSUER, "client", {"operator": frozenset({Permission.QUARANTINE_WRITE})})


def key_set(key_id: str = KEY_ID) -> str:
    """What the pool publishes at .well-known/jwks.json."""
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OURS.public_key()))
    return json.dumps({"keys": [{**public, "kid": key_id, "alg": "RS256", "use": "sig"}]})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(clock: ManualClock) -> AccessTokens:
    return AccessTokens(POOL, read_keys(key_set()), clock=clock)


def bearer(clock: ManualClock, key: Any = OURS, kid: str = KEY_ID, **claims: Any) -> dict[str, str]:
    """A request's headers with a token as Cognito makes it."""
    body = {
        "sub": "5d1b6a3c-0b5e-4f6b-9d55-1d6c3b1a2f10",
        "iss": ISSUER,
        "client_id": "client",
        "token_use": "access",
        "exp": int(clock().timestamp()) + 900,
        "cognito:groups": ["operator", "unheard-of"],
        **claims,
    }
    return {"authorization": f"Bearer {jwt.encode(body, key, algorithm='RS256', headers={'kid': kid})}"}


def test_a_person_of_the_pool_is_known_with_what_his_groups_may_do(
    tokens: AccessTokens, clock: ManualClock
) -> None:
    principal = tokens.authenticate(bearer(clock))
    assert principal is not None
    assert principal.name == "5d1b6a3c-0b5e-4f6b-9d55-1d6c3b1a2f10"
    assert principal.permissions == {Permission.QUARANTINE_WRITE}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"iss": "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_another"}, "InvalidIssuerError"),
        ({"client_id": "another"}, "client_id"),
        # An id token says who somebody is to the viewer, and is not for the API.
        ({"token_use": "id"}, "token_use"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "expired"),
        ({"sub": ""}, "names nobody"),
        ({"key": ANOTHER}, "InvalidSignatureError"),
        ({"kid": "another"}, "not signed by our user pool"),
    ],
)
def test_what_is_not_for_us_lets_nobody_in(
    tokens: AccessTokens, clock: ManualClock, wrong: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotAuthenticated, match=reason):
        tokens.authenticate(bearer(clock, **wrong))


def test_a_token_signed_with_the_public_key_as_a_password_does_not_hold(
    tokens: AccessTokens, clock: ManualClock
) -> None:
    claims = {"sub": "x", "iss": ISSUER, "client_id": "client", "token_use": "access", "exp": 4_000_000_000}
    forged = jwt.encode(claims, "0" * 32, algorithm="HS256", headers={"kid": KEY_ID})
    unsigned = jwt.encode(claims, None, algorithm="none", headers={"kid": KEY_ID})
    for token in (forged, unsigned):
        with pytest.raises(NotAuthenticated, match="not signed by our user pool"):
            tokens.authenticate({"authorization": f"Bearer {token}"})


def test_a_request_without_such_a_token_is_for_the_next_authenticator(tokens: AccessTokens) -> None:
    assert tokens.authenticate({}) is None
    assert tokens.authenticate({"authorization": "Bearer a-static-token"}) is None


def test_groups_that_are_no_list_allow_nothing(tokens: AccessTokens, clock: ManualClock) -> None:
    principal = tokens.authenticate(bearer(clock, **{"cognito:groups": "operator"}))
    assert principal is not None
    assert not principal.permissions


@pytest.mark.parametrize("text", ["", '{"keys": []}', "[]", '{"keys": [{"kty": "RSA"}]}', "<html>"])
def test_an_api_without_its_pools_keys_does_not_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"well-known/jwks\.json"):
        read_keys(text)
