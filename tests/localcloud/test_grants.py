"""Grants held against use: what a call used counts, what KMS is asked for counts, and the rest needs a reason."""

import json
from pathlib import Path

import pytest

from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.unobserved import Unobserved
from rayline_local import grants
from rayline_local.front.observed_grants import Grant, ObservedGrants
from rayline_local.grants import Cell, Run, review

KEY = "arn:aws:kms:us-east-1:123456789012:key/0f"
OBJECTS = "arn:aws:s3:::rayline-local-imports-123456789012/*"
READ = {"Sid": "Read", "Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": [OBJECTS]}
OPEN = {"Sid": "Keys", "Effect": "Allow", "Action": ["kms:Decrypt"], "Resource": [KEY]}
DENY = {"Sid": "Never", "Effect": "Deny", "Action": ["s3:DeleteObject"], "Resource": [OBJECTS]}
ENCRYPTION = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"


def resource(kind: str, name: str, inputs: dict[str, object], **outputs: str) -> Resource:
    return Resource(
        f"urn:{name}", kind, name, custom=True, inputs=inputs, outputs={**inputs, **outputs}, parent=""
    )


def run(*observed: tuple[str, str, str]) -> Run:
    """The processor's policy on one encrypted bucket, and which of it was used."""
    bucket = "rayline-local-imports-123456789012"
    default = {"sseAlgorithm": "aws:kms", "kmsMasterKeyId": KEY}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [READ, OPEN, DENY]})
    estate = Graph(
        "local",
        (
            resource("aws:kms/key:Key", "deidentified-key", {}, arn=KEY, keyId="0f"),
            resource("aws:s3/bucket:Bucket", "imports", {"bucket": bucket}, arn=f"arn:aws:s3:::{bucket}"),
            resource(
                ENCRYPTION,
                "imports-encryption",
                {"bucket": bucket, "rules": [{"applyServerSideEncryptionByDefault": default}]},
            ),
            resource(
                "aws:iam/rolePolicy:RolePolicy",
                "processor-policy",
                {"role": "rayline-local-processor", "policy": policy},
            ),
        ),
        {},
    )
    return Run(estate, [Grant("rayline-local-processor", *each) for each in observed])


def idle(*runs: Run) -> set[tuple[str, str]]:
    return {(cell.sid, cell.action) for cell in review(runs).unexplained}


@pytest.fixture(autouse=True)
def no_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grants, "UNOBSERVED", ())


def test_what_nobody_used_is_idle_and_a_denial_is_no_grant() -> None:
    assert idle(run()) == {("Read", "s3:GetObject"), ("Read", "s3:PutObject"), ("Keys", "kms:Decrypt")}


def test_a_call_uses_its_statement_and_the_key_of_what_it_reached() -> None:
    assert idle(run(("Read", "s3:GetObject", OBJECTS))) == {("Read", "s3:PutObject")}


def test_what_one_of_many_runs_used_is_used() -> None:
    reads, writes = run(("Read", "s3:GetObject", OBJECTS)), run(("Read", "s3:PutObject", OBJECTS))
    assert idle(reads, writes) == set()


def test_a_reason_explains_and_one_that_explains_nothing_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    writing = Unobserved("processor", "writes on Sundays", sids=("Read",), actions=("s3:PutObject",))
    nothing = Unobserved("api", "it has no such right")
    monkeypatch.setattr(grants, "UNOBSERVED", (writing, nothing))
    found = review([run(("Read", "s3:GetObject", OBJECTS))])
    assert found.explained == {Cell("processor", "Read", "s3:PutObject", 0): "writes on Sundays"}
    assert (found.unexplained, found.stale) == ([], [nothing])


def test_the_record_outlives_its_process_and_a_line_that_a_kill_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "grants.ndjson"
    kept = Grant("rayline-local-processor", "Read", "s3:GetObject", OBJECTS)
    first = ObservedGrants(path)
    first.add(kept)
    first.add(kept)
    assert len(path.read_text().splitlines()) == 1
    with path.open("a") as file:
        file.write('{"role": "rayline-local-pro')
    again = ObservedGrants(path)
    assert again.all() == [kept]
    more = Grant("rayline-local-processor", "Read", "s3:PutObject", OBJECTS)
    again.add(more)
    assert ObservedGrants(path).all() == [kept, more]
