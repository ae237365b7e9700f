"""What each role must not do, tried under the role itself: every probe is denied, and one that is allowed shows that
the role and the probe work.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest
from support.applied_estate import AppliedEstate, refused
from support.local_cloud import ACCOUNT_ID, LocalCloud

from rayline.names import RoleKind
from rayline_infra.policies.roles import ROLE_KINDS

Probe = Callable[[AppliedEstate, Callable[[str], Any]], object]
UPLOAD = "upload/hospital-a/probe.dcm"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppliedEstate]:
    folder = tmp_path_factory.mktemp("denials")
    cloud = LocalCloud(folder / "cloud")
    cloud.start()
    try:
        applied = AppliedEstate(cloud, folder / "estate.json")
        s3 = applied.client("s3")
        for kind, key in KEYS.items():
            s3.put_object(Bucket=bucket(kind), Key=key, Body=b"probe")
        yield applied
    finally:
        cloud.stop()


KEYS = {
    "uploads": UPLOAD,
    "quarantine": "hospital-a/0f/object",
    "imports": "imports/b1/i1.dcm",
    "preprocessed": "preprocessed/e1/part.npy",
    "models": "models/e1/model.tar.gz",
    "reports": "evaluations/e1/evaluation.json",
    "logs": "AWSLogs/probe.json.gz",
    "access-logs": "s3/probe",
    "archive": UPLOAD,
}


def bucket(kind: str) -> str:
    return f"rayline-local-{kind}-{ACCOUNT_ID}"


def read(kind: str) -> Probe:
    return lambda _, client: client("s3").get_object(Bucket=bucket(kind), Key=KEYS[kind])


def read_version(kind: str) -> Probe:
    def probe(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
        head = estate.client("s3").head_object(Bucket=bucket(kind), Key=KEYS[kind])
        return client("s3").get_object(Bucket=bucket(kind), Key=KEYS[kind], VersionId=head["VersionId"])

    return probe


def write(kind: str, key: str | None = None) -> Probe:
    return lambda _, client: client("s3").put_object(
        Bucket=bucket(kind), Key=key or KEYS[kind], Body=b"probe"
    )


def delete(kind: str) -> Probe:
    return lambda _, client: client("s3").delete_object(Bucket=bucket(kind), Key=KEYS[kind])


def list_objects(kind: str) -> Probe:
    return lambda _, client: client("s3").list_objects_v2(Bucket=bucket(kind))


def change_policy(kind: str) -> Probe:
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    return lambda _, client: client("s3").put_bucket_policy(Bucket=bucket(kind), Policy=document)


def scan(table: str) -> Probe:
    return lambda _, client: client("dynamodb").scan(TableName=f"rayline-local-{table}", Limit=1)


def drop(table: str) -> Probe:
    return lambda _, client: client("dynamodb").delete_table(TableName=f"rayline-local-{table}")


def receive(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("sqs").receive_message(QueueUrl=estate.outputs["queue_url"])


def purge(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("sqs").purge_queue(QueueUrl=estate.outputs["queue_url"])


def put_event(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    entry = {"Source": "rayline.api", "DetailType": "Image Verified", "Detail": "{}"}
    return client("events").put_events(Entries=[{**entry, "EventBusName": estate.outputs["event_bus"]}])


def disable_rule(_: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("events").disable_rule(Name="rayline-local-uploaded")


def read_secret(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("secretsmanager").get_secret_value(SecretId=estate.outputs["deid_secret_arn"])


def start_training(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("sagemaker").start_pipeline_execution(PipelineName=estate.outputs["pipeline_name"])


def start_import(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("medical-imaging").start_dicom_import_job(
        datastoreId=estate.outputs["datastore_id"],
        dataAccessRoleArn=estate.outputs["import_role_arn"],
        inputS3Uri=f"s3://{bucket('imports')}/imports/none/",
        outputS3Uri=f"s3://{bucket('imports')}/import-results/none/",
        clientToken="probe-of-a-denial",
    )


def delete_datastore(estate: AppliedEstate, client: Callable[[str], Any]) -> object:
    return client("medical-imaging").delete_datastore(datastoreId=estate.outputs["datastore_id"])


def widen_itself(role: str) -> Probe:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    return lambda _, client: client("iam").put_role_policy(
        RoleName=f"rayline-local-{role}", PolicyName="more", PolicyDocument=document
    )


def become(role: str) -> Probe:
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/rayline-local-{role}"
    return lambda _, client: client("sts").assume_role(RoleArn=arn, RoleSessionName="probe")


DENIED: dict[RoleKind, dict[str, Probe]] = {
    "training": {
        "reads uploads": read("uploads"),
        "reads a version of an upload": read_version("uploads"),
        "reads quarantine": read("quarantine"),
        "reads the original archive": read("archive"),
        "reads logs": read("logs"),
        "reads access logs": read("access-logs"),
        "lists uploads": list_objects("uploads"),
        "reads the ledger": scan("image-tracking"),
        "reads a secret": read_secret,
        "takes events": receive,
        "imports": start_import,
    },
    "api": {
        "reads uploads": read("uploads"),
        "writes models": write("models"),
        "reads models": read("models"),
        "uploads as a sender": write("uploads"),
        "reads the whole ledger": scan("image-tracking"),
        "reads effects": scan("effects"),
        "starts a training": start_training,
        "imports": start_import,
        "takes events": receive,
        "reads a secret": read_secret,
        "reads logs": read("logs"),
    },
    "gateway": {
        "reads what it sent": read("uploads"),
        "lists uploads": list_objects("uploads"),
        "deletes an upload": delete("uploads"),
        "writes past the uploads": write("uploads", "elsewhere/probe.dcm"),
        "writes batches": write("imports"),
        "reads the ledger": scan("image-tracking"),
        "takes events": receive,
        "puts events": put_event,
        "reads a secret": read_secret,
    },
    "processor": {
        "deletes an upload": delete("uploads"),
        "writes models": write("models"),
        "reads models": read("models"),
        "reads the original archive": read("archive"),
        "reads logs": read("logs"),
        "reads a secret itself": read_secret,
        "drops the ledger": drop("image-tracking"),
        "empties the queue": purge,
        "switches a rule off": disable_rule,
        "opens a bucket": change_policy("uploads"),
        "deletes the data store": delete_datastore,
    },
    "import": {
        "reads uploads": read("uploads"),
        "reads quarantine": read("quarantine"),
        "writes batches": write("imports"),
        "deletes a batch": delete("imports"),
        "reads models": read("models"),
        "reads the ledger": scan("image-tracking"),
    },
    "execution": {
        "reads uploads": read("uploads"),
        "reads models": read("models"),
        "reads the ledger": scan("image-tracking"),
        "takes events": receive,
    },
    "endpoint": {
        "reads uploads": read("uploads"),
        "reads quarantine": read("quarantine"),
        "reads training images": read("preprocessed"),
        "writes models": write("models"),
        "reads the ledger": scan("image-tracking"),
        "reads logs": read("logs"),
    },
    "operator": {
        "uploads as a sender": write("uploads"),
        "reads uploads": read("uploads"),
        "deletes an upload": delete("uploads"),
        "writes models": write("models"),
        "reads a secret": read_secret,
        "starts a training": start_training,
        "imports": start_import,
        "takes events": receive,
        "switches a rule off": disable_rule,
        "drops the ledger": drop("effects"),
        "reads logs": read("logs"),
        "deletes the data store": delete_datastore,
    },
    "reviewer": {
        "reads uploads": read("uploads"),
        "opens what was refused": read("quarantine"),
        "deletes what was refused": delete("quarantine"),
        "releases": write("uploads", "upload/hospital-a/released/probe"),
        "reads the ledger": scan("image-tracking"),
        "reads reports": read("reports"),
    },
    "uploader": {
        "reads what it sent": read("uploads"),
        "lists uploads": list_objects("uploads"),
        "deletes what it sent": delete("uploads"),
        "writes past the uploads": write("uploads", "elsewhere/probe.dcm"),
        "reads quarantine": read("quarantine"),
        "reads the ledger": scan("image-tracking"),
    },
}
# The same kind of call, allowed: a probe that were denied for its form alone would be denied here too.
ALLOWED: dict[RoleKind, Probe] = {
    "training": read("preprocessed"),
    "api": read("quarantine"),
    "gateway": write("uploads"),
    "processor": read_version("uploads"),
    "import": read("imports"),
    "execution": read_secret,
    "endpoint": read("models"),
    "operator": scan("image-tracking"),
    "reviewer": list_objects("quarantine"),
    "uploader": write("uploads"),
}
# Roles that only AWS's own services take, which the local cloud does not play: the graph's tests hold their policies.
NOT_PLAYED: set[RoleKind] = {
    "replication-identified", "replication-deidentified", "trail", "config", "flow-logs", "chat",
}  # fmt: skip


def test_every_role_is_probed() -> None:
    assert set(DENIED) == set(ALLOWED)
    assert set(DENIED) | NOT_PLAYED == set(get_args(RoleKind))
    assert set(DENIED) <= set(ROLE_KINDS)


@pytest.mark.parametrize(
    ("role", "what"), [(role, what) for role, probes in DENIED.items() for what in probes]
)
def test_a_role_is_denied_what_is_not_its_work(estate: AppliedEstate, role: RoleKind, what: str) -> None:
    assert refused(lambda: DENIED[role][what](estate, lambda service: estate.client(service, role)))


@pytest.mark.parametrize("role", ALLOWED)
def test_the_same_kind_of_call_is_allowed_where_it_is_the_roles_work(
    estate: AppliedEstate, role: RoleKind
) -> None:
    assert not refused(lambda: ALLOWED[role](estate, lambda service: estate.client(service, role)))


@pytest.mark.parametrize("role", DENIED)
def test_no_role_widens_itself_or_becomes_another(estate: AppliedEstate, role: RoleKind) -> None:
    assert refused(lambda: widen_itself(role)(estate, lambda service: estate.client(service, role)))
    for other in {"processor", "operator", "training"} - {role}:
        assert refused(lambda o=other: become(o)(estate, lambda service: estate.client(service, role)))  # type: ignore[misc]
