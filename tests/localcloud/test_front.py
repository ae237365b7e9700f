"""The front itself: who may ask for which credentials, what it closes, what it refuses, how it dispatches."""

from __future__ import annotations

import http.client
import json
import uuid
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from support.healthimaging_account import policy, trust
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

from rayline_local.front.app import signing_name
from rayline_local.front.services import role_environment, role_token


def new_role(cloud: LocalCloud, service: str, document: str | None = None, kind: str | None = None) -> str:
    """A role of this test; returns its name."""
    name = f"rayline-local-{kind}" if kind else f"r{uuid.uuid4().hex[:12]}"
    iam = cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(service))
    if document is not None:
        iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document)
    return name


def token_of(cloud: LocalCloud, role_name: str) -> str:
    """The credential token of a role, as the front derives it."""
    secret = (cloud.state_dir / "token").read_text().strip()
    return role_token(secret, f"arn:aws:iam::{ACCOUNT_ID}:role/{role_name}")


def test_credentials_work_and_are_cached(local_cloud: LocalCloud) -> None:
    role = new_role(local_cloud, "ecs-tasks.amazonaws.com", kind="processor")
    token = token_of(local_cloud, role)
    status, credentials = local_cloud.control("GET", "credentials/processor", token=token)
    assert status == 200
    assert credentials["RoleArn"].endswith(f":role/{role}")
    assert local_cloud.control("GET", f"credentials/{role}", token=token)[1] == credentials
    session = boto3.Session(
        aws_access_key_id=credentials["AccessKeyId"],
        aws_secret_access_key=credentials["SecretAccessKey"],
        aws_session_token=credentials["Token"],
        region_name=REGION,
    )
    identity = session.client("sts", endpoint_url=local_cloud.endpoint_url).get_caller_identity()
    assert identity["Arn"] == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{role}/rayline-local"


def test_a_token_is_good_for_its_own_role_only(local_cloud: LocalCloud) -> None:
    one, other = (new_role(local_cloud, "sagemaker.amazonaws.com") for _ in range(2))
    assert local_cloud.control("GET", f"credentials/{one}", token=token_of(local_cloud, one))[0] == 200
    assert local_cloud.control("GET", f"credentials/{one}", token=token_of(local_cloud, other))[0] == 403
    assert local_cloud.control("GET", f"credentials/{one}")[0] == 403
    assert local_cloud.control("GET", "credentials/nobody", token="x")[0] == 404


def test_a_role_is_not_given_to_a_service_that_it_does_not_trust(local_cloud: LocalCloud) -> None:
    role = new_role(local_cloud, "sagemaker.amazonaws.com", kind="execution")
    status, document = local_cloud.control("GET", "credentials/execution", token=token_of(local_cloud, role))
    assert (status, document["code"]) == (403, "AccessDeniedException")


def test_an_sdk_finds_its_credentials_in_the_role_environment(
    local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = new_role(local_cloud, "sagemaker.amazonaws.com")
    arn = f"arn:aws:iam::{ACCOUNT_ID}:role/{role}"
    environment = role_environment(local_cloud.endpoint_url, REGION, arn, token_of(local_cloud, role))
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(environment)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert f"/{role}/" in boto3.Session().client("sts").get_caller_identity()["Arn"]


def test_the_training_role_cannot_read_the_uploads_bucket(local_cloud: LocalCloud) -> None:
    s3 = local_cloud.client("s3")
    uploads, reports = f"uploads-{uuid.uuid4().hex[:8]}", f"reports-{uuid.uuid4().hex[:8]}"
    for bucket in (uploads, reports):
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="upload/a", Body=b"x")
    account_trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    name = f"r{uuid.uuid4().hex[:12]}"
    iam = local_cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(account_trust))
    iam.put_role_policy(
        RoleName=name,
        PolicyName="p",
        PolicyDocument=policy((["s3:GetObject"], [f"arn:aws:s3:::{reports}/*"])),
    )
    training = local_cloud.client("s3", name)
    assert training.get_object(Bucket=reports, Key="upload/a")["Body"].read() == b"x"
    with pytest.raises(ClientError) as error:
        training.get_object(Bucket=uploads, Key="upload/a")
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_tls_only_bucket_policies_hold_for_roles(local_cloud: LocalCloud) -> None:
    bucket = f"tls-{uuid.uuid4().hex[:8]}"
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    reading = policy((["s3:GetObject"], [f"arn:aws:s3:::{bucket}/*"]))
    role = new_role(local_cloud, "ecs-tasks.amazonaws.com", reading)
    assert local_cloud.client("s3", role).get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"


@pytest.mark.parametrize(
    "path", ["/_ministack/reset", "/_ministack/health", "/_localstack/health", "/_aws/sqs/messages"]
)
def test_the_emulator_s_own_administration_is_closed(local_cloud: LocalCloud, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", local_cloud.port, timeout=10)
    connection.request("POST", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_control_paths_answer_loopback_names_only(local_cloud: LocalCloud) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", local_cloud.port, timeout=10)
    connection.request("GET", "/_rayline/health", headers={"Host": "evil.example:80"})
    assert connection.getresponse().status == 403
    connection.close()


def test_only_the_loopback_address_is_bound(local_cloud: LocalCloud) -> None:
    # /proc/net/tcp lists local addresses as little-endian hex: 0100007F is 127.0.0.1, 0A a listening socket.
    port = f"{local_cloud.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[1].endswith(f":{port}") and row[3] == "0A"]
    assert listening == [f"0100007F:{port}"]
    six = Path("/proc/net/tcp6")
    assert not six.exists() or f":{port} " not in six.read_text()


def test_faults_refuse_unknown_switches(local_cloud: LocalCloud) -> None:
    assert local_cloud.control("PUT", "faults", {"healthimaging": {"explode": True}})[0] == 400
    assert local_cloud.control("PUT", "faults", {"nosuch": {}})[0] == 400
    status, document = local_cloud.control("GET", "faults")
    assert status == 200
    assert document["healthimaging"]["throttle"] == 0


def test_the_request_log_holds_no_input_values(local_cloud: LocalCloud) -> None:
    imaging = local_cloud.client("medical-imaging")
    datastore_id = imaging.create_datastore(datastoreName="log")["datastoreId"]
    imaging.search_image_sets(
        datastoreId=datastore_id,
        searchCriteria={"filters": [{"operator": "EQUAL", "values": [{"DICOMPatientId": "MRN-4711"}]}]},
    )
    _, log = local_cloud.control("GET", "requests")
    last = log[-1]
    assert (last["service"], last["operation"], last["status"]) == ("healthimaging", "SearchImageSets", 200)
    assert last["caller"] == f"arn:aws:iam::{ACCOUNT_ID}:root"
    assert "MRN-4711" not in json.dumps(log)


@pytest.mark.parametrize(
    ("operation", "members"),
    [
        ("send_message", {"MessageBody": "x", "DelaySeconds": 901}),
        ("send_message", {"MessageBody": "x" * 1_048_577}),
        ("receive_message", {"VisibilityTimeout": 43_201}),
        ("receive_message", {"WaitTimeSeconds": 21}),
        ("change_message_visibility", {"ReceiptHandle": "x", "VisibilityTimeout": 43_201}),
    ],
)
def test_sqs_limits_are_kept(local_cloud: LocalCloud, operation: str, members: dict[str, Any]) -> None:
    sqs = local_cloud.client("sqs")
    url = sqs.create_queue(QueueName="limits")["QueueUrl"]
    with pytest.raises(ClientError) as error:
        getattr(sqs, operation)(QueueUrl=url, **members)
    assert "InvalidParameterValue" in error.value.response["Error"]["Code"]
    sqs.send_message(QueueUrl=url, MessageBody="y", DelaySeconds=900)


@pytest.mark.parametrize(
    ("headers", "query", "expected"),
    [
        (
            [
                (
                    b"authorization",
                    b"AWS4-HMAC-SHA256 Credential=AK/20240501/us-east-1/medical-imaging/aws4_request",
                )
            ],
            b"",
            "medical-imaging",
        ),
        ([], b"X-Amz-Credential=AK%2F20240501%2Fus-east-1%2Fs3%2Faws4_request", "s3"),
        ([(b"authorization", b"Bearer x")], b"", None),
        ([], b"", None),
    ],
)
def test_dispatch_reads_the_credential_scope(
    headers: list[tuple[bytes, bytes]], query: bytes, expected: str | None
) -> None:
    assert signing_name({"headers": headers, "query_string": query}) == expected
