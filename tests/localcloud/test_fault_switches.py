"""Fault switches of the stand-ins, and their own record of the starts that they accepted."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pydantic import ValidationError
from support.healthimaging_account import Account, policy, trust
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud
from support.p10_files import ct_file, new_uid, pixels

from rayline_local.front.accepted import AcceptedStarts
from rayline_local.front.emulated_faults import EMULATED
from rayline_local.front.faults import FaultSwitches, ServiceFaults
from rayline_local.front.late_events import LateEvents
from rayline_local.front.services import role_token

SOURCE = "aws.medical-imaging"


def switches(**values: Any) -> FaultSwitches:
    """The switches of one service."""
    faults = FaultSwitches()
    faults.register("healthimaging", SOURCE, ServiceFaults())
    faults.replace({"healthimaging": values})
    return faults


@pytest.fixture
def account(local_cloud: LocalCloud) -> Iterator[Account]:
    local_cloud.faults()
    yield Account(local_cloud).create()
    local_cloud.faults()


def one_file() -> bytes:
    return ct_file(pixels(1), study_uid=new_uid(), series_uid=new_uid())


def test_a_count_strikes_so_often_and_no_more() -> None:
    faults = switches(throttle=2)
    assert [faults.take("healthimaging", "throttle") for _ in range(4)] == [True, True, False, False]
    assert faults.struck() == {"healthimaging": {"throttle": 2}}


def test_a_share_strikes_by_a_chance_that_the_seed_repeats() -> None:
    draws = [switches(throttle_share=0.3, seed=7) for _ in range(2)]
    first, second = (
        [faults.take("healthimaging", "throttle_share") for _ in range(2_000)] for faults in draws
    )
    assert first == second
    assert 500 < sum(first) < 700
    assert first != [
        faults.take("healthimaging", "throttle_share")
        for faults in [switches(throttle_share=0.3, seed=8)]
        for _ in range(2_000)
    ]


def test_events_are_dropped_doubled_and_late_by_their_shares() -> None:
    faults = switches(drop_events=0.25, duplicate_events=0.5, late_events_seconds=4.0, seed=1)
    deliveries = [faults.deliveries(SOURCE) for _ in range(4_000)]
    counts = Counter(map(len, deliveries))
    # A quarter is dropped; of the other three quarters, half come twice.
    assert 900 < counts[0] < 1_100
    assert 1_400 < counts[2] < 1_600
    delays = [seconds for each in deliveries for seconds in each]
    assert 0 <= min(delays) < 0.1
    assert 3.9 < max(delays) <= 4.0
    assert delays != sorted(delays), "events overtake each other"


def test_without_switches_each_event_comes_at_once_and_once() -> None:
    assert switches().deliveries(SOURCE) == [0.0]
    assert switches(drop_events=True).deliveries("aws.s3") == [0.0], "another source is left alone"


@pytest.mark.parametrize("values", [{"throttle": -1}, {"lost_answers": 1.5}, {"explode": True}])
def test_wrong_switches_are_refused_and_change_nothing(values: dict[str, Any]) -> None:
    faults = switches(throttle=3)
    with pytest.raises(ValidationError):
        faults.replace({"healthimaging": values})
    assert faults.document()["healthimaging"]["throttle"] == 3


def test_late_events_come_in_the_order_of_their_times_and_none_is_lost_at_a_stop() -> None:
    late, came = LateEvents(), list[str]()
    late.put(0.05, lambda: came.append("second"))
    late.put(0.01, lambda: came.append("first"))
    late.put(3_600, lambda: came.append("at the stop"))
    deadline = time.monotonic() + 30
    while len(came) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)  # polling, bounded by the deadline
    assert came == ["first", "second"]
    late.flush()
    assert came == ["first", "second", "at the stop"]


def test_the_record_of_starts_outlives_its_writer_and_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "accepted.ndjson"
    AcceptedStarts(path).append({"client_token": "a"})
    with path.open("a") as file:
        file.write('{"client_tok')
    assert AcceptedStarts(path).records() == [{"client_token": "a"}]


def test_a_start_whose_answer_is_lost_was_accepted_all_the_same(account: Account) -> None:
    account.put("b1", one=one_file())
    account.cloud.faults(lost_answers=1.0)
    with pytest.raises(ClientError) as error:
        account.start("b1")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    account.cloud.faults()
    job_id = account.start("b1")["jobId"]
    account.wait(job_id)
    _, log = account.cloud.control("GET", "requests/accepted")
    starts = [
        each for each in log if each.get("job_id") == job_id and each["operation"] == "StartDICOMImportJob"
    ]
    assert [(each["client_token"], each["repeated"]) for each in starts] == [("b1", False), ("b1", True)]
    assert {each["input_s3_uri"] for each in starts} == {f"s3://{account.bucket}/in/b1/"}


def test_the_record_says_which_files_were_imported(account: Account) -> None:
    account.cloud.faults(fail_files=1)
    properties = account.import_batch("b1", a_unlucky=one_file(), b_good=one_file())
    _, log = account.cloud.control("GET", "requests/accepted")
    (record,) = [
        each for each in log if each["operation"] == "FilesImported" and each["job_id"] == properties["jobId"]
    ]
    (image_set,) = account.image_sets()
    metadata = account.metadata(image_set["imageSetId"])
    (series,) = metadata["Study"]["Series"].values()
    assert record["files"] == {"in/b1/b_good": next(iter(series["Instances"]))}
    assert record["failed"] == ["in/b1/a_unlucky"]


def test_a_job_can_fail_as_a_whole(account: Account) -> None:
    account.cloud.faults(fail_jobs=1)
    assert account.import_batch("b1", one=one_file())["jobStatus"] == "FAILED"
    assert account.import_batch("b2", one=one_file())["jobStatus"] == "COMPLETED"
    assert len(account.image_sets()) == 1


def test_half_of_the_requests_can_be_throttled(account: Account) -> None:
    account.cloud.faults(throttle_share=0.5, seed=3)
    outcomes = Counter[int]()
    for _ in range(40):
        try:
            answer = account.imaging.get_datastore(datastoreId=account.datastore_id)
            outcomes[answer["ResponseMetadata"]["HTTPStatusCode"]] += 1
        except ClientError as error:
            outcomes[error.response["ResponseMetadata"]["HTTPStatusCode"]] += 1
    assert set(outcomes) == {200, 429}
    assert 8 <= outcomes[429] <= 32


def test_late_events_all_arrive(account: Account) -> None:
    account.received()
    account.cloud.faults(late_events_seconds=0.5, seed=5)
    account.import_batch("b1", one=one_file(), two=one_file(), three=one_file())
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 30
    while len(found) < 6 and time.monotonic() < deadline:
        found += account.received()
    titles = [each["detail-type"] for each in found]
    assert Counter(titles) == {
        "Import Job Submitted": 1,
        "Import Job In Progress": 1,
        "Import Job Completed": 1,
        "Image Set Created": 3,
    }


@pytest.fixture
def processor_clients(local_cloud: LocalCloud) -> Iterator[Any]:
    """Clients under a role of the processor's kind, as its task has them."""
    name = f"r{uuid.uuid4().hex[:12]}-processor"
    iam = local_cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust("ecs-tasks.amazonaws.com"))
    iam.put_role_policy(
        RoleName=name, PolicyName="all", PolicyDocument=policy((["dynamodb:*", "s3:*", "sqs:*"], ["*"]))
    )
    secret = (local_cloud.state_dir / "token").read_text().strip()
    token = role_token(secret, f"arn:aws:iam::{ACCOUNT_ID}:role/{name}")
    _, keys = local_cloud.control("GET", f"credentials/{name}", token=token)
    session = boto3.Session(
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["Token"],
        region_name=REGION,
    )
    config = Config(retries={"total_max_attempts": 1})
    yield lambda service: session.client(service, endpoint_url=local_cloud.endpoint_url, config=config)
    off: dict[str, Any] = {service: {} for service in EMULATED}
    assert local_cloud.control("PUT", "faults", off)[0] == 200


def error_of(act: Any) -> tuple[str, int]:
    """Code and status of the error that a call ends with."""
    with pytest.raises(ClientError) as error:
        act()
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_the_processor_s_requests_to_emulated_services_can_be_throttled(
    local_cloud: LocalCloud, processor_clients: Any
) -> None:
    bucket = f"faults-{uuid.uuid4().hex[:8]}"
    local_cloud.client("s3").create_bucket(Bucket=bucket)
    url = local_cloud.client("sqs").create_queue(QueueName=bucket)["QueueUrl"]
    faults = {service: {"throttle": 1} for service in EMULATED}
    assert local_cloud.control("PUT", "faults", faults)[0] == 200
    # Whoever else asks is left alone.
    local_cloud.client("s3").put_object(Bucket=bucket, Key="a", Body=b"x")
    s3, sqs, dynamodb = (processor_clients(service) for service in ("s3", "sqs", "dynamodb"))
    assert error_of(lambda: s3.get_object(Bucket=bucket, Key="a")) == ("SlowDown", 503)
    assert error_of(lambda: sqs.receive_message(QueueUrl=url)) == ("ThrottlingException", 400)
    assert error_of(lambda: dynamodb.list_tables()) == ("ThrottlingException", 400)
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_a_refused_upload_leaves_its_connection_in_order(
    local_cloud: LocalCloud, processor_clients: Any
) -> None:
    bucket = f"faults-{uuid.uuid4().hex[:8]}"
    local_cloud.client("s3").create_bucket(Bucket=bucket)
    assert local_cloud.control("PUT", "faults", {"s3": {"throttle_share": 0.5, "seed": 1}})[0] == 200
    s3, outcomes = processor_clients("s3"), Counter[str]()
    for number in range(30):
        try:
            s3.put_object(Bucket=bucket, Key=str(number), Body=b"x" * 200_000)
            outcomes["stored"] += 1
        except ClientError as error:
            outcomes[error.response["Error"]["Code"]] += 1
    assert set(outcomes) == {"stored", "SlowDown"}


def test_an_emulated_service_can_carry_out_what_it_denies(
    local_cloud: LocalCloud, processor_clients: Any
) -> None:
    name = f"lost-{uuid.uuid4().hex[:8]}"
    url = local_cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    local_cloud.client("s3").create_bucket(Bucket=name)
    faults = {"sqs": {"lost_answers": 1.0}, "s3": {"lost_answers": 1.0}}
    assert local_cloud.control("PUT", "faults", faults)[0] == 200
    sqs, s3 = processor_clients("sqs"), processor_clients("s3")
    sent = error_of(lambda: sqs.send_message(QueueUrl=url, MessageBody="x"))
    assert sent == ("InternalServerError", 500)
    assert error_of(lambda: s3.put_object(Bucket=name, Key="a", Body=b"x")) == ("InternalError", 500)
    (message,) = local_cloud.client("sqs").receive_message(QueueUrl=url)["Messages"]
    assert message["Body"] == "x"
    assert local_cloud.client("s3").get_object(Bucket=name, Key="a")["Body"].read() == b"x"
