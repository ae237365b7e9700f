"""No mistake deletes what there is only one of."""

from collections.abc import Iterator

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import BUCKET, KEY, TABLE, datastores

BALANCER = "aws:lb/loadBalancer:LoadBalancer"
USER_POOL = "aws:cognito/userPool:UserPool"
LONGEST_WINDOW_DAYS = 30


def data_is_protected(graph: Graph) -> Iterator[Observation]:
    """Pulumi refuses to delete buckets, tables and data stores."""
    for resource in (*graph.of_type(BUCKET), *graph.of_type(TABLE), *datastores(graph)):
        yield judged(resource, resource.protect, f"protect = {resource.protect}")


def aws_refuses_deletion(graph: Graph) -> Iterator[Observation]:
    """AWS refuses to delete tables, load balancers and the directory of users."""
    for table in graph.of_type(TABLE):
        on = table.inputs.get("deletionProtectionEnabled") is True
        yield judged(table, on, f"deletionProtectionEnabled = {on}")
    for balancer in graph.of_type(BALANCER):
        on = balancer.inputs.get("enableDeletionProtection") is True
        yield judged(balancer, on, f"enableDeletionProtection = {on}")
    for pool in graph.of_type(USER_POOL):
        state = pool.inputs.get("deletionProtection")
        yield judged(pool, state == "ACTIVE", f"deletionProtection = {state}")


def buckets_are_not_emptied(graph: Graph) -> Iterator[Observation]:
    """Destroying a stack never empties a bucket."""
    for bucket in graph.of_type(BUCKET):
        forced = bucket.inputs.get("forceDestroy", False)
        yield judged(bucket, not forced, f"forceDestroy = {forced}")


def keys_go_slowly(graph: Graph) -> Iterator[Observation]:
    """A key that is deleted can be called back for thirty days: all that it encrypted goes with it."""
    for key in graph.of_type(KEY):
        days = key.inputs.get("deletionWindowInDays") or LONGEST_WINDOW_DAYS
        yield judged(key, days >= LONGEST_WINDOW_DAYS, f"deletionWindowInDays = {days:g}")


def images_are_retained(graph: Graph) -> Iterator[Observation]:
    """A data store outlives its stack."""
    for store in datastores(graph):
        yield judged(store, store.retain_on_delete, f"retainOnDelete = {store.retain_on_delete}")


CONTROLS = (
    Control(
        "DEL-1",
        "Data is protected from the program",
        ("164.312(c)(1)", "164.308(a)(7)(ii)(A)"),
        "high",
        "buckets, tables, data stores",
        data_is_protected,
    ),
    Control(
        "DEL-2",
        "AWS refuses to delete what holds or guards data",
        ("164.312(c)(1)",),
        "medium",
        "tables, load balancers, user pools",
        aws_refuses_deletion,
    ),
    Control(
        "DEL-3",
        "Destroying a stack empties no bucket",
        ("164.312(c)(1)",),
        "high",
        "buckets",
        buckets_are_not_emptied,
    ),
    Control(
        "DEL-4",
        "A deleted key can be called back for thirty days",
        ("164.312(c)(1)", "164.308(a)(7)(ii)(B)"),
        "high",
        "KMS keys",
        keys_go_slowly,
    ),
    Control(
        "DEL-5",
        "Images outlive their stack",
        ("164.308(a)(7)(ii)(A)", "164.312(c)(1)"),
        "critical",
        "data stores",
        images_are_retained,
    ),
)
