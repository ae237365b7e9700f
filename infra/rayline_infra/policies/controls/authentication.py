"""People prove who they are, each by a name of his own, and for a while only."""

from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.identities import at

USER_POOL = "aws:cognito/userPool:UserPool"
CLIENT = "aws:cognito/userPoolClient:UserPoolClient"
SHORTEST_PASSWORD = 12
UNITS_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400}
LONGEST_ACCESS_SECONDS = 3600
LONGEST_REFRESH_SECONDS = 24 * 3600


def two_factors(graph: Graph) -> Iterator[Observation]:
    """Whoever signs in with a password needs a second factor, and a long password."""
    for pool in graph.of_type(USER_POOL):
        mfa = pool.inputs.get("mfaConfiguration")
        length = at(pool.inputs, "passwordPolicy.minimumLength") or 8
        fine = mfa == "ON" and isinstance(length, (int, float)) and length >= SHORTEST_PASSWORD
        yield judged(pool, fine, f"mfaConfiguration = {mfa}, passwordPolicy.minimumLength = {length}")


def nobody_signs_himself_up(graph: Graph) -> Iterator[Observation]:
    """Users are made by the hospital, one for each person."""
    for pool in graph.of_type(USER_POOL):
        closed = at(pool.inputs, "adminCreateUserConfig.allowAdminCreateUserOnly") is True
        yield judged(pool, closed, f"allowAdminCreateUserOnly = {closed}")


def sessions_end(graph: Graph) -> Iterator[Observation]:
    """A token opens the door for an hour at most, and is renewed for a day at most."""
    for client in graph.of_type(CLIENT):
        units = client.inputs.get("tokenValidityUnits") or {}
        # Cognito's own defaults: an hour for access and id tokens, thirty days for refresh tokens.
        access = (client.inputs.get("accessTokenValidity") or 1) * UNITS_SECONDS[
            units.get("accessToken", "hours")
        ]
        refresh = (client.inputs.get("refreshTokenValidity") or 30) * UNITS_SECONDS[
            units.get("refreshToken", "days")
        ]
        fine = access <= LONGEST_ACCESS_SECONDS and refresh <= LONGEST_REFRESH_SECONDS
        yield judged(client, fine, f"access token {access:g} s, refresh token {refresh:g} s")


def sign_in_gives_nothing_away(graph: Graph) -> Iterator[Observation]:
    """The sign-in does not tell who is a user, and takes the authorization code flow only."""
    for client in graph.of_type(CLIENT):
        flows = set(client.inputs.get("allowedOauthFlows", []))
        hidden = client.inputs.get("preventUserExistenceErrors") == "ENABLED"
        yield judged(
            client,
            hidden and flows <= {"code"},
            f"preventUserExistenceErrors = {client.inputs.get('preventUserExistenceErrors')}, flows = {sorted(flows)}",
        )


CONTROLS = (
    Control(
        "AUT-1",
        "People sign in with two factors",
        ("164.312(d)",),
        "critical",
        "Cognito user pools",
        two_factors,
    ),
    Control(
        "AUT-2",
        "Users are made by the hospital",
        ("164.312(a)(2)(i)",),
        "high",
        "Cognito user pools",
        nobody_signs_himself_up,
    ),
    Control(
        "AUT-3",
        "Sessions end",
        ("164.312(a)(2)(iii)",),
        "medium",
        "clients of user pools",
        sessions_end,
    ),
    Control(
        "AUT-4",
        "Signing in gives nothing away",
        ("164.312(d)",),
        "medium",
        "clients of user pools",
        sign_in_gives_nothing_away,
    ),
)
