"""Nothing is public but the listed door."""

from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph, account_of
from rayline_infra.policies.holdings import BUCKET, POLICY_OF, TOPIC, bucket_part, door_clauses
from rayline_infra.policies.statements import EVERYONE, Clause

PUBLIC_ACCESS_BLOCK = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
OWNERSHIP = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
FLAGS = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
# Conditions that narrow "everyone" to one's own: an account, an organisation, an endpoint, a resource of ours.
NARROWING = frozenset({
    "aws:sourceaccount", "aws:sourcearn", "aws:principalaccount", "aws:principalorgid", "aws:sourcevpce",
    "aws:sourcevpc",
})  # fmt: skip
# EventBridge tells topics no source (EventBridge user guide, "Amazon SNS permissions").
UNGUARDED = {TOPIC: "events.amazonaws.com"}
ACCOUNTS = frozenset({"aws:sourceaccount", "aws:principalaccount"})


def buckets_block_the_public(graph: Graph) -> Iterator[Observation]:
    """Every bucket blocks all four kinds of public access."""
    for bucket in graph.of_type(BUCKET):
        block = bucket_part(graph, PUBLIC_ACCESS_BLOCK, bucket)
        off = [flag for flag in FLAGS if block is None or block.inputs.get(flag) is not True]
        yield judged(bucket, not off, f"not set: {', '.join(off)}" if off else f"{', '.join(FLAGS)} = true")


def buckets_have_no_acls(graph: Graph) -> Iterator[Observation]:
    """Every bucket belongs to its owner alone: ACLs are disabled."""
    for bucket in graph.of_type(BUCKET):
        controls = bucket_part(graph, OWNERSHIP, bucket)
        owner = (controls.inputs.get("rule") or {}).get("objectOwnership") if controls else None
        yield judged(bucket, owner == "BucketOwnerEnforced", f"objectOwnership = {owner}")


def doors_are_not_open(graph: Graph) -> Iterator[Observation]:
    """No resource policy lets in another account, or everyone without a condition that narrows it to one's own."""
    account = account_of(graph)
    for resource in graph.resources:
        if resource.type in POLICY_OF:
            open_clauses = [
                each.sid
                for each in door_clauses(graph, resource)
                if _open(each, account, UNGUARDED.get(resource.type, ""))
            ]
            setting = (
                f"others are let in by {', '.join(open_clauses)}" if open_clauses else "names its principals"
            )
            yield judged(resource, not open_clauses, setting)


def _open(clause: Clause, account: str, unguarded: str) -> bool:
    if not clause.allows:
        return False
    if clause.inverted:
        # Whoever is not named is let in.
        return True
    # A service acts for every account that asks it to.
    if any(EVERYONE in each or (each[0] == "Service" and each[1] != unguarded) for each in clause.principals):
        return not any(narrows(*condition, account) for condition in clause.conditions)
    # Before a first deployment no ARN is known, and so no account.
    return bool(account) and any(
        kind == "AWS" and f"::{account}:" not in name and name != account for kind, name in clause.principals
    )


def narrows(operator: str, key: str, accepted: tuple[str, ...], account: str) -> bool:
    """Whether a condition leaves only one's own of everyone."""
    if "Not" in operator or operator.endswith("IfExists") or EVERYONE in accepted:
        return False
    if key.lower() in ACCOUNTS:
        return not account or set(accepted) == {account}
    if key.lower() == "aws:sourcearn" and account:
        # ARNs of buckets name no account.
        return all(value.split(":")[4:5] in ([], [""], [account]) for value in accepted)
    return key.lower() in NARROWING


def notebooks_and_endpoints_stay_inside(graph: Graph) -> Iterator[Observation]:
    """No compute of SageMaker's has a way to the internet of its own."""
    for notebook in graph.of_type("aws:sagemaker/notebookInstance:NotebookInstance"):
        access = notebook.inputs.get("directInternetAccess")
        yield judged(notebook, access == "Disabled", f"directInternetAccess = {access}")
    for model in graph.of_type("aws:sagemaker/model:Model"):
        inside = bool(model.inputs.get("enableNetworkIsolation"))
        yield judged(model, inside, f"enableNetworkIsolation = {inside}")


CONTROLS = (
    Control(
        "PUB-1",
        "Buckets block public access",
        ("164.312(a)(1)",),
        "critical",
        "public access blocks",
        buckets_block_the_public,
    ),
    Control(
        "PUB-2",
        "Buckets have no access control lists",
        ("164.312(a)(1)",),
        "high",
        "object ownership",
        buckets_have_no_acls,
    ),
    Control(
        "PUB-3",
        "Resource policies let nobody in but their own",
        ("164.312(a)(1)",),
        "critical",
        "policies of buckets, queues, topics, secrets, repositories and buses",
        doors_are_not_open,
    ),
    Control(
        "PUB-4",
        "Models and notebooks have no way to the internet",
        ("164.312(a)(1)", "164.312(e)(1)"),
        "high",
        "SageMaker models and notebooks",
        notebooks_and_endpoints_stay_inside,
    ),
)
