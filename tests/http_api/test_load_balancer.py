"""The load balancer's token holds only where ours has signed it, for us, and lately."""

import base64
import json
import urllib.error
from email.message import Message
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.manual_clock import ManualClock

from rayline.http_api.access import AuthenticationUnavailable, NotAuthenticated, Permission
from rayline.http_api.load_balancer import HEADER, LoadBalancer, LoadBalancerTokens

SIGNER = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/app/rayline/0123456789abcdef"
KEY_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ISSUER = "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_abc"
GROUPS = {
    "radiology-it": frozenset({Permission.QUARANTINE_READ, Permission.QUARANTINE_WRITE}),
    "data-protection": frozenset({Permission.PHI_READ}),
}
EXPECTED = LoadBalancer(SIGNER, ISSUER, "client", "custom:groups", GROUPS)
OURS = ec.generate_private_key(ec.SECP256R1())
ANOTHER = ec.generate_private_key(ec.SECP256R1())


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """A public key as the endpoint serves it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Keys:
    """The region's endpoint."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.error: Exception | None = None

    def __call__(self, key_id: str) -> str:
        self.asked.append(key_id)
        if self.error is not None:
            raise self.error
        return public(OURS)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tokens(keys: Keys, clock: ManualClock) -> LoadBalancerTokens:
    return LoadBalancerTokens(EXPECTED, keys, clock=clock)


def token(
    clock: ManualClock,
    *,
    claims: dict[str, Any] | None = None,
    header: dict[str, Any] | None = None,
    key: Any = OURS,
    algorithm: str = "ES256",
) -> str:
    """A token as the load balancer makes it: with its own claims in the header."""
    expires = int(clock().timestamp()) + 120
    headers = {
        "kid": KEY_ID,
        "signer": SIGNER,
        "iss": ISSUER,
        "client": "client",
        "exp": expires,
        **(header or {}),
    }
    payload = {
        "sub": "anna",
        "custom:groups": "radiology-it",
        "exp": expires,
        "iss": ISSUER,
        **(claims or {}),
    }
    return jwt.encode(payload, key, algorithm=algorithm, headers=headers)


def test_a_token_of_ours_holds_and_gives_what_its_groups_may(
    tokens: LoadBalancerTokens, clock: ManualClock
) -> None:
    principal = tokens.authenticate({HEADER: token(clock)})
    assert principal is not None
    assert (principal.name, principal.permissions) == ("anna", GROUPS["radiology-it"])


def test_the_padding_that_the_load_balancer_leaves_is_no_matter(
    tokens: LoadBalancerTokens, clock: ManualClock
) -> None:
    # It pads base64 with =, which RFC 7515 forbids, and signs what it has padded.
    def padded_part(part: dict[str, Any]) -> str:
        text = json.dumps(part)
        return base64.urlsafe_b64encode((text + " " * ((1 - len(text)) % 3)).encode()).decode()

    parts = [
        padded_part(jwt.get_unverified_header(token(clock))),
        padded_part({"sub": "anna", "custom:groups": "radiology-it"}),
    ]
    assert all(part.endswith("==") for part in parts)
    signed = jwt.get_algorithm_by_name("ES256").sign(".".join(parts).encode(), OURS)
    padded = ".".join([*parts, base64.urlsafe_b64encode(signed).decode()])
    principal = tokens.authenticate({HEADER: padded})
    assert principal is not None
    assert principal.name == "anna"


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        ("radiology-it,data-protection", frozenset(Permission)),
        ("[radiology-it, data-protection]", frozenset(Permission)),
        ('["radiology-it", "data-protection"]', frozenset(Permission)),
        (["radiology-it", "data-protection", 7], frozenset(Permission)),
        ("data-protection", GROUPS["data-protection"]),
        ("strangers", frozenset()),
        ("", frozenset()),
        (None, frozenset()),
        ({"radiology-it": True}, frozenset()),
        (7, frozenset()),
    ],
)
def test_groups_give_what_they_may_and_no_others(
    tokens: LoadBalancerTokens, clock: ManualClock, claim: Any, expected: frozenset[Permission]
) -> None:
    principal = tokens.authenticate({HEADER: token(clock, claims={"custom:groups": claim})})
    assert principal is not None
    assert principal.permissions == expected


def test_a_request_without_the_header_is_somebody_elses(tokens: LoadBalancerTokens) -> None:
    assert tokens.authenticate({"authorization": "Bearer x"}) is None


OTHER_SIGNER = SIGNER.replace("rayline", "mallory")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"header": {"signer": OTHER_SIGNER}}, "another signer"),
        ({"header": {"signer": None}}, "another signer"),
        ({"header": {"client": "another"}}, "another client"),
        ({"header": {"iss": "https://evil.example"}}, "another iss"),
        ({"header": {"kid": "../../evil"}}, "names no key"),
        ({"header": {"kid": "evil.example/" + KEY_ID}}, "names no key"),
        ({"key": ANOTHER}, "InvalidSignature"),
        ({"header": {"exp": 1}}, "expired"),
        ({"header": {"exp": None}}, "expired"),
        ({"header": {"exp": "9999999999"}}, "expired"),
        ({"claims": {"exp": 1}}, "expired"),
        ({"claims": {"sub": ""}}, "names nobody"),
        ({"claims": {"sub": 7}}, "."),
        ({"key": "a-secret-of-at-least-32-characters!", "algorithm": "HS256"}, "another alg"),
    ],
)
def test_a_token_that_is_not_ours_does_not_hold(
    tokens: LoadBalancerTokens, clock: ManualClock, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(NotAuthenticated, match=why):
        tokens.authenticate({HEADER: token(clock, **changes)})


def test_the_public_key_is_no_secret_to_sign_with(tokens: LoadBalancerTokens, clock: ManualClock) -> None:
    """The old confusion of algorithms: HS256 with the public key as its secret."""
    import hashlib
    import hmac

    def encoded(part: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()

    header = {**jwt.get_unverified_header(token(clock)), "alg": "HS256"}
    signed = f"{encoded(header)}.{encoded({'sub': 'mallory'})}"
    mac = hmac.new(public(OURS).encode(), signed.encode(), hashlib.sha256).digest()
    forged = f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"
    for alg in ("HS256", "none", "None"):
        with pytest.raises(NotAuthenticated):
            tokens.authenticate({HEADER: forged.replace(encoded(header), encoded({**header, "alg": alg}))})


@pytest.mark.parametrize("text", ["", "e30.e30.e30", "a.b", "....", "x" * 20_000, "é.é.é", "e30=.e30=.e30="])
def test_what_is_no_token_does_not_hold(tokens: LoadBalancerTokens, text: str) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.authenticate({HEADER: text})


def test_a_token_that_was_changed_does_not_hold(tokens: LoadBalancerTokens, clock: ManualClock) -> None:
    header, payload, signature = token(clock, claims={"custom:groups": "strangers"}).split(".")
    forged = base64.urlsafe_b64encode(b'{"sub":"anna","custom:groups":"radiology-it"}').rstrip(b"=").decode()
    with pytest.raises(NotAuthenticated, match="InvalidSignature"):
        tokens.authenticate({HEADER: f"{header}.{forged}.{signature}"})
    assert tokens.authenticate({HEADER: f"{header}.{payload}.{signature}"}) is not None


def test_a_token_ends_with_its_time(tokens: LoadBalancerTokens, clock: ManualClock) -> None:
    held = token(clock)
    clock.pass_time(119)
    assert tokens.authenticate({HEADER: held}) is not None
    clock.pass_time(1)
    with pytest.raises(NotAuthenticated, match="expired"):
        tokens.authenticate({HEADER: held})


def test_a_key_is_fetched_once_and_only_for_a_token_that_might_hold(
    tokens: LoadBalancerTokens, clock: ManualClock, keys: Keys
) -> None:
    with pytest.raises(NotAuthenticated):
        tokens.authenticate({HEADER: token(clock, header={"signer": OTHER_SIGNER})})
    assert keys.asked == []
    for _ in range(3):
        tokens.authenticate({HEADER: token(clock)})
    assert keys.asked == [KEY_ID]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (TimeoutError(), AuthenticationUnavailable),
        (urllib.error.URLError("no route"), AuthenticationUnavailable),
        (urllib.error.HTTPError("u", 500, "m", Message(), None), AuthenticationUnavailable),
        (urllib.error.HTTPError("u", 404, "m", Message(), None), NotAuthenticated),
    ],
)
def test_nobody_gets_in_where_no_key_can_be_had(
    tokens: LoadBalancerTokens, clock: ManualClock, keys: Keys, error: Exception, raised: type[Exception]
) -> None:
    keys.error = error
    with pytest.raises(raised):
        tokens.authenticate({HEADER: token(clock)})
    keys.error = None
    assert tokens.authenticate({HEADER: token(clock)}) is not None


def test_a_key_that_is_none_does_not_hold(clock: ManualClock) -> None:
    tokens = LoadBalancerTokens(EXPECTED, lambda _: "<html>not found</html>", clock=clock)
    with pytest.raises(AuthenticationUnavailable):
        tokens.authenticate({HEADER: token(clock)})


def test_the_region_is_the_signers() -> None:
    assert EXPECTED.region == "eu-central-1"
    with pytest.raises(ValueError, match="load balancer"):
        _ = LoadBalancer("arn:aws:iam::123456789012:role/x", "", "", "").region
