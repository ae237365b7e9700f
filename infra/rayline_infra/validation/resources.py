"""Every resource of the graph against the account."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import entry_points

from botocore.exceptions import BotoCoreError, ClientError

from rayline_infra.planning.physical_names import physical_name
from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Absent, Account
from rayline_infra.validation.readers import READERS
from rayline_infra.validation.readers.keeping import find_datastore
from rayline_infra.validation.report import Problem, Report

AT_ONCE = 8
LEFT_OUT_GROUP = "rayline.not_emulated"
"""Entry points that say which types a stack's account cannot have, by the stack's name."""

# What the provider makes of nothing that stands in an account by itself.
_NO_RESOURCE = ("pulumi:providers:aws",)


def left_out(stack: str) -> Mapping[str, str]:
    """Types that the account of a stack cannot have, each with the reason."""
    found: dict[str, str] = {}
    for each in entry_points(group=LEFT_OUT_GROUP, name=stack):
        found.update(each.load())
    return found


def check(account: Account, done: Callable[[int, int], None] = lambda *_: None) -> Report:
    """Read everything that the stack declares.

    Args:
        done: told how many resources of how many were read.
    """
    missing = left_out(account.graph.stack)
    declared = [each for each in account.graph.resources if each.custom and each.type not in _NO_RESOURCE]
    there = [each for each in declared if each.type not in missing]
    readable = [each for each in there if each.type in READERS]
    _learn(account)
    problems: list[Problem] = []
    with ThreadPoolExecutor(AT_ONCE) as executor:
        for number, found in enumerate(executor.map(lambda each: read(account, each), readable), 1):
            problems += found
            done(number, len(readable))
    return Report(
        stack=account.graph.stack,
        checked=len(readable),
        problems=tuple(problems),
        unread=dict(sorted(Counter(each.type for each in there if each.type not in READERS).items())),
        left_out={each: missing[each] for each in sorted({each.type for each in declared} & set(missing))},
    )


def read(account: Account, resource: Resource) -> list[Problem]:
    """What is wrong with one resource; a refused or failed call is a problem of its own."""
    try:
        found = list(READERS[resource.type](account, resource))
    except Absent:
        found = ["is not there"]
    except (BotoCoreError, ClientError) as error:
        found = [f"could not be read: {error}"]
    return [Problem(resource.type, resource.name, physical_name(resource), each) for each in found]


def _learn(account: Account) -> None:
    """Note what AWS called the keys, the data store and the secrets."""
    graph = account.graph
    for alias in graph.of_type("aws:kms/alias:Alias"):
        target = str(alias.inputs["targetKeyId"])
        for key in graph.of_type("aws:kms/key:Key") + graph.of_type("aws:kms/replicaKey:ReplicaKey"):
            if target in (key.id, key.outputs["arn"]):
                _learn_one(account, str(key.outputs["arn"]), partial(_key, account, alias, "Arn"))
        _learn_one(account, target.rsplit("/", 1)[-1], partial(_key, account, alias, "KeyId"))
    for store in graph.of_type("aws:cloudcontrol/resource:Resource"):
        planned = str(graph.outputs["datastore_id"])
        _learn_one(account, planned, partial(_datastore_id, account, store))
    for secret in graph.of_type("aws:secretsmanager/secret:Secret"):
        _learn_one(account, str(secret.outputs["arn"]), partial(_secret_arn, account, secret))


def _learn_one(account: Account, planned: str, find: Callable[[], str]) -> None:
    # What is absent or refused here is told of by its own reader.
    with contextlib.suppress(Absent, BotoCoreError, ClientError):
        account.learn(planned, find())


def _key(account: Account, alias: Resource, member: str) -> str:
    kms = account.client("kms", alias.inputs.get("region"))
    return str(kms.describe_key(KeyId=alias.inputs["name"])["KeyMetadata"][member])


def _datastore_id(account: Account, store: Resource) -> str:
    return find_datastore(account, json.loads(store.inputs["desiredState"])["DatastoreName"])["datastoreId"]


def _secret_arn(account: Account, secret: Resource) -> str:
    return str(account.client("secretsmanager").describe_secret(SecretId=secret.inputs["name"])["ARN"])
