"""Roles may do what they need, and be assumed by whom they are for."""

import re
from collections.abc import Iterator

from rayline_infra.policies.actions import actions_of
from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.holdings import KEY, POLICY_OF, REPOSITORY, SECRET, door_clauses
from rayline_infra.policies.identities import ATTACHMENT, ROLE, identities, identity_policies
from rayline_infra.policies.patterns import covers, overlaps
from rayline_infra.policies.statements import EVERYONE, Clause, read_policy

ENDPOINT = "aws:ec2/vpcEndpoint:VpcEndpoint"
# AWS documents the trust of these without a source condition, which may be there all the same: "Setting up permissions
# for live replication" (S3), "Sending events to CloudWatch Logs" (CloudTrail).
GUARD_OPTIONAL = frozenset({"s3.amazonaws.com", "cloudtrail.amazonaws.com"})
# All of a service, or all of a kind; EC2 makes up the ids of its own.
EVERY_ONE_OF = re.compile(r"arn:aws:([^:]*:[^:]*:[^:]*:\*.*|(?!ec2:|s3:)[^:]*:[^:]*:[^:]*:[a-z-]+[/:]\*)")
# AWS managed policies that a service needs as they are, and that grant nothing to a person.
MANAGED = frozenset({
    # AWS Config developer guide, "Permissions for the IAM role assigned to AWS Config"
    "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole",
})  # fmt: skip


def no_wildcard_actions(graph: Graph) -> Iterator[Observation]:
    """No role is allowed every action, or every action of a service."""
    for policy, clauses in identity_policies(graph):
        wide = [
            f"{clause.sid} allows {action}"
            for clause in clauses
            if clause.allows
            for action in clause.actions
            if not action.rpartition(":")[2].strip("*?")
        ]
        count = sum(len(clause.actions) for clause in clauses)
        yield judged(policy, not wide, "; ".join(wide) or f"{count} actions, each by name")


def no_wildcard_resources(graph: Graph) -> Iterator[Observation]:
    """``*`` stands only for what AWS gives no name; nothing is granted by what it is not."""
    for policy, clauses in identity_policies(graph):
        wide = [
            f"{clause.sid} allows {action} on every resource"
            for clause in clauses
            if clause.allows and "*" in clause.resources
            for action in clause.actions
            if any(each.resources for each in actions_of(action))
        ]
        wide += [
            f"{clause.sid} allows {', '.join(clause.actions)} on all of {arn}"
            for clause in clauses
            if clause.allows
            for arn in clause.resources
            if EVERY_ONE_OF.fullmatch(arn)
        ]
        wide += [f"{clause.sid} grants by NotAction or NotResource" for clause in clauses
                 if clause.allows and clause.inverted]  # fmt: skip
        yield judged(policy, not wide, "; ".join(wide) or "every resource that has a name is named")


def statements_fit(graph: Graph) -> Iterator[Observation]:
    """Every action exists, takes a resource of its statement, and knows the statement's condition keys."""
    for resource, clauses, named in _policies(graph):
        wrong = [text for clause in clauses for text in _misfits(clause, named=named)]
        if named:
            wrong += _uncovered(clauses)
        yield judged(resource, not wrong, "; ".join(wrong) or "fits AWS's list of actions")


def _policies(graph: Graph) -> Iterator[tuple[Resource, tuple[Clause, ...], bool]]:
    for resource, clauses in identity_policies(graph):
        yield resource, clauses, True
    for resource in graph.resources:
        if resource.type in POLICY_OF and (found := door_clauses(graph, resource)):
            # The policy of a secret or a repository spells the one that it is attached to "*".
            yield resource, found, resource.type not in (SECRET, REPOSITORY)
        elif resource.type in (KEY, ENDPOINT) and resource.inputs.get("policy"):
            # A key's own policy spells the key "*"; an endpoint's may name whole services.
            yield resource, read_policy(str(resource.inputs["policy"])), False
        elif resource.type == ROLE:
            yield resource, read_policy(str(resource.inputs["assumeRolePolicy"])), False


def _misfits(clause: Clause, *, named: bool) -> Iterator[str]:
    taken: set[str] = set()
    for pattern in clause.actions:
        if pattern == "*" or pattern.endswith(":*"):
            # A denial of all actions, or what IAM-1 reports.
            taken.update(clause.resources)
            continue
        actions = actions_of(pattern)
        if not actions:
            yield f"{clause.sid}: AWS has no action {pattern}"
        fitting = {arn for arn in clause.resources for action in actions if action.takes(arn)}
        taken |= fitting
        if named and actions and not fitting and clause.allows:
            yield f"{clause.sid}: {pattern} takes none of the statement's resources"
        for _, key, _ in clause.conditions:
            if actions and not any(action.knows_key(key) for action in actions):
                yield f"{clause.sid}: {pattern} knows no condition key {key}"
    if named:
        yield from (f"{clause.sid}: no action takes {arn}" for arn in clause.resources if arn not in taken)


def _uncovered(clauses: tuple[Clause, ...]) -> Iterator[str]:
    for clause in clauses:
        for name in clause.actions:
            for action in actions_of(name) if clause.allows and not name.endswith("*") else ():
                granted = [arn for each in clauses if each.has_action(name) for arn in each.resources]
                for needed in action.required:
                    if not any(overlaps(needed, arn) for arn in granted):
                        yield f"{clause.sid}: {name} also needs a {needed}"


def trust_is_narrow(graph: Graph) -> Iterator[Observation]:
    """A service assumes a role for this account only; people and devices match a pattern of this account."""
    for identity in identities(graph):
        account = identity.arn.split(":")[4]
        wrong = [text for clause in identity.trust if clause.allows for text in _loose(clause, account)]
        named = ", ".join(name for clause in identity.trust for _, name in clause.principals)
        yield judged(identity.role, not wrong, "; ".join(wrong) or f"{named}, under a condition")


def _loose(clause: Clause, account: str) -> Iterator[str]:
    sources = (*clause.values_of("aws:SourceAccount"), *clause.values_of("aws:SourceArn"))
    for kind, name in clause.principals:
        if EVERYONE in (kind, name):
            yield "everyone may assume it"
        elif kind == "Service" and name not in GUARD_OPTIONAL:
            if not any(account in source for source in sources):
                yield f"{name} may assume it for another account: no aws:SourceAccount or aws:SourceArn"
        elif kind == "Federated":
            keys = {key.lower().rpartition(":")[2] for _, key, _ in clause.conditions}
            if not keys & {"sub", "aud"}:
                yield f"any identity of {name} may assume it"
        elif kind == "AWS" and f"::{account}:" not in name and name != account:
            yield f"{name} is not of this account"
        elif kind == "AWS" and (name.endswith(":root") or name == account):
            patterns = clause.values_of("aws:PrincipalArn")
            if not patterns or any(covers(pattern, f"arn:aws:iam::{account}:role/*") for pattern in patterns):
                yield "every principal of the account may assume it"


def no_managed_policies(graph: Graph) -> Iterator[Observation]:
    """Policies are the estate's own: AWS's managed ones grow without notice."""
    for role in graph.of_type(ROLE):
        attached = [str(arn) for arn in role.inputs.get("managedPolicyArns", [])]
        attached += [
            str(each.inputs["policyArn"])
            for each in graph.of_type(ATTACHMENT)
            if each.inputs.get("role") == role.inputs.get("name")
        ]
        foreign = [arn for arn in attached if ":aws:policy/" in arn and arn not in MANAGED]
        yield judged(role, not foreign, ", ".join(attached) or "no managed policy")


def nobody_has_a_standing_key(graph: Graph) -> Iterator[Observation]:
    """There are no IAM users, and so no access keys that never expire."""
    for resource in graph.resources:
        if resource.type in ("aws:iam/user:User", "aws:iam/accessKey:AccessKey"):
            yield judged(resource, False, "an identity with a credential that does not expire")
    for role in graph.of_type(ROLE):
        seconds = role.inputs.get("maxSessionDuration") or 3600
        yield judged(role, seconds <= 12 * 3600, f"maxSessionDuration = {seconds:g}")


CONTROLS = (
    Control(
        "IAM-1",
        "No role is allowed every action of a service",
        ("164.312(a)(1)", "164.308(a)(4)(ii)(B)"),
        "critical",
        "policies of roles",
        no_wildcard_actions,
    ),
    Control(
        "IAM-2",
        "No role is allowed every resource",
        ("164.312(a)(1)", "164.308(a)(4)(ii)(B)"),
        "critical",
        "policies of roles; `*` only where AWS's list of actions has no resource",
        no_wildcard_resources,
    ),
    Control(
        "IAM-3",
        "Statements fit AWS's list of actions",
        ("164.308(a)(4)(ii)(B)",),
        "medium",
        "policies of roles, trusts, buckets, queues, topics, keys and endpoints",
        statements_fit,
    ),
    Control(
        "IAM-4",
        "Roles are assumed by whom they are for",
        ("164.312(a)(1)", "164.312(d)"),
        "critical",
        "trust policies, with their guard against the confused deputy",
        trust_is_narrow,
    ),
    Control(
        "IAM-5",
        "Roles have policies of the estate's own",
        ("164.308(a)(4)(ii)(B)",),
        "medium",
        "managed policies",
        no_managed_policies,
    ),
    Control(
        "IAM-6",
        "Credentials expire",
        ("164.312(d)", "164.312(a)(2)(iii)"),
        "high",
        "users, access keys, sessions of roles",
        nobody_has_a_standing_key,
    ),
)
