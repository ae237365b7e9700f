"""What Rayline relies on from MiniStack: a new version of it must pass this before it is pinned."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

WAIT_SECONDS = 20.0


@pytest.fixture
def name() -> str:
    """A resource name of this test's own."""
    return f"c{uuid.uuid4().hex[:12]}"


def eventually(check: Callable[[], Any]) -> Any:
    """The first truthy answer; fails after a while."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(0.02)
    raise AssertionError("nothing came")


def queue_of_rule(cloud: LocalCloud, name: str, pattern: dict[str, Any], bus: str = "default") -> str:
    """A queue that gets the events of a rule; returns its URL."""
    sqs, events = cloud.client("sqs"), cloud.client("events")
    url: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    events.put_rule(Name=name, EventBusName=bus, EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"}
    events.put_targets(Rule=name, EventBusName=bus, Targets=[target])
    return url


def receive(cloud: LocalCloud, url: str) -> list[dict[str, Any]]:
    """Messages that are visible now."""
    answer = cloud.client("sqs").receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def versioned_bucket(cloud: LocalCloud, name: str) -> None:
    """A versioned bucket that announces its objects on the default bus."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_notification_configuration(
        Bucket=name, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


def test_object_created_reaches_the_queue_with_its_version(local_cloud: LocalCloud, name: str) -> None:
    versioned_bucket(local_cloud, name)
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [name]}, "object": {"key": [{"prefix": "upload/"}]}},
    }
    url = queue_of_rule(local_cloud, name, pattern)
    s3 = local_cloud.client("s3")
    s3.put_object(Bucket=name, Key="other/a", Body=b"not matched")
    key = "upload/site/Zürich 1+1=2.dcm"
    versions = [s3.put_object(Bucket=name, Key=key, Body=body)["VersionId"] for body in (b"one", b"three")]
    found: list[dict[str, Any]] = []

    def both() -> bool:
        found.extend(json.loads(message["Body"]) for message in receive(local_cloud, url))
        return len(found) >= 2

    eventually(both)
    assert [event["detail"]["object"]["key"] for event in found] == [key, key], "the key is not URL-encoded"
    # Two writers' events may arrive in either order, as in AWS.
    assert {event["detail"]["object"]["version-id"] for event in found} == set(versions)
    assert {event["detail"]["object"]["size"] for event in found} == {3, 5}
    for event in found:
        assert (event["source"], event["account"], event["region"]) == ("aws.s3", ACCOUNT_ID, REGION)
        assert event["detail"]["reason"] == "PutObject"
        reading = {"Bucket": name, "Key": key, "VersionId": event["detail"]["object"]["version-id"]}
        assert s3.head_object(**reading)["ContentLength"] == event["detail"]["object"]["size"]
    assert len({event["id"] for event in found}) == 2


def test_multipart_uploads_and_copies_are_announced(local_cloud: LocalCloud, name: str) -> None:
    versioned_bucket(local_cloud, name)
    url = queue_of_rule(local_cloud, name, {"source": ["aws.s3"], "detail": {"bucket": {"name": [name]}}})
    s3 = local_cloud.client("s3")
    upload = s3.create_multipart_upload(Bucket=name, Key="a")["UploadId"]
    part = s3.upload_part(Bucket=name, Key="a", UploadId=upload, PartNumber=1, Body=b"x" * 100)
    done = s3.complete_multipart_upload(
        Bucket=name,
        Key="a",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    copied = s3.copy_object(Bucket=name, Key="b", CopySource={"Bucket": name, "Key": "a"})
    found: dict[str, Any] = {}

    def both() -> bool:
        for message in receive(local_cloud, url):
            detail = json.loads(message["Body"])["detail"]
            found[detail["object"]["key"]] = (detail["reason"], detail["object"]["version-id"])
        return len(found) == 2

    eventually(both)
    assert found == {
        "a": ("CompleteMultipartUpload", done["VersionId"]),
        "b": ("CopyObject", copied["VersionId"]),
    }


def test_a_disabled_rule_delivers_nothing(local_cloud: LocalCloud, name: str) -> None:
    url = queue_of_rule(local_cloud, name, {"source": [name]})
    events = local_cloud.client("events")

    def put(number: int) -> None:
        entry = {"Source": name, "DetailType": "t", "Detail": json.dumps({"n": number})}
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    events.disable_rule(Name=name)
    put(1)
    events.enable_rule(Name=name)
    put(2)
    [message] = eventually(lambda: receive(local_cloud, url))
    assert json.loads(message["Body"])["detail"] == {"n": 2}


def test_put_events_answers_200_with_failed_entries(local_cloud: LocalCloud, name: str) -> None:
    entries = [
        {"Source": "aws.s3", "DetailType": "t", "Detail": "{}"},
        {"Source": name, "DetailType": "t", "Detail": "{}"},
    ]
    answer = local_cloud.client("events").put_events(Entries=entries)
    assert answer["FailedEntryCount"] == 1
    assert answer["Entries"][0]["ErrorCode"] == "NotAuthorizedForSourceException"
    assert "EventId" in answer["Entries"][1]


def test_a_custom_bus_routes_to_the_same_kind_of_queue(local_cloud: LocalCloud, name: str) -> None:
    events = local_cloud.client("events")
    events.create_event_bus(Name=name)
    url = queue_of_rule(local_cloud, name, {"source": ["rayline.api"]}, bus=name)
    entry = {"Source": "rayline.api", "DetailType": "Image Verified", "Detail": '{"label": "NORMAL"}'}
    events.put_events(Entries=[entry])
    events.put_events(Entries=[{**entry, "EventBusName": name}])
    [message] = eventually(lambda: receive(local_cloud, url))
    body = json.loads(message["Body"])
    assert (body["detail-type"], body["detail"]) == ("Image Verified", {"label": "NORMAL"})


def test_visibility_hides_extends_and_releases(local_cloud: LocalCloud, name: str) -> None:
    sqs = local_cloud.client("sqs")
    url = sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    [first] = receive(local_cloud, url)
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert receive(local_cloud, url) == [], "hidden while in flight"
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"], VisibilityTimeout=0)
    [second] = receive(local_cloud, url)
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"], VisibilityTimeout=600)
    assert receive(local_cloud, url) == []
    sqs.delete_message(QueueUrl=url, ReceiptHandle=second["ReceiptHandle"])
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (
        attributes["ApproximateNumberOfMessages"],
        attributes["ApproximateNumberOfMessagesNotVisible"],
    ) == (
        "0",
        "0",
    )


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(
    local_cloud: LocalCloud, name: str
) -> None:
    sqs = local_cloud.client("sqs")
    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    redrive = {"deadLetterTargetArn": f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}-dlq", "maxReceiveCount": 2}
    url = sqs.create_queue(
        QueueName=name, Attributes={"RedrivePolicy": json.dumps(redrive), "VisibilityTimeout": "0"}
    )["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    assert [len(receive(local_cloud, url)) for _ in range(3)] == [1, 1, 0]
    [message] = receive(local_cloud, dead)
    assert message["Body"] == "x"


@pytest.fixture
def table(local_cloud: LocalCloud, name: str) -> str:
    """A table with an index, as ImageTracking has."""
    local_cloud.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": item, "AttributeType": "S"} for item in ("pk", "verified_site", "verified_at")
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_verified",
                "KeySchema": [
                    {"AttributeName": "verified_site", "KeyType": "HASH"},
                    {"AttributeName": "verified_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    return name


def test_conditional_writes_have_one_winner(local_cloud: LocalCloud, table: str) -> None:
    dynamodb = local_cloud.client("dynamodb")
    item = {"pk": {"S": "a"}, "owner": {"S": "first"}}
    absent = {"ConditionExpression": "attribute_not_exists(pk)"}
    dynamodb.put_item(TableName=table, Item=item, **absent)
    with pytest.raises(ClientError) as error:
        dynamodb.put_item(TableName=table, Item={**item, "owner": {"S": "second"}}, **absent)
    assert error.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    with pytest.raises(ClientError) as error:
        dynamodb.update_item(
            TableName=table,
            Key={"pk": {"S": "a"}},
            UpdateExpression="SET #o = :new",
            ConditionExpression="#o = :old",
            ExpressionAttributeNames={"#o": "owner"},
            ExpressionAttributeValues={":new": {"S": "x"}, ":old": {"S": "second"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert dict(error.value.response)["Item"] == item
    assert dynamodb.get_item(TableName=table, Key={"pk": {"S": "a"}}, ConsistentRead=True)["Item"] == item


def test_transactions_are_all_or_nothing_and_name_their_reasons(local_cloud: LocalCloud, table: str) -> None:
    dynamodb = local_cloud.client("dynamodb")
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "taken"}, "n": {"N": "1"}})

    def put(key: str) -> dict[str, Any]:
        return {
            "Put": {
                "TableName": table,
                "Item": {"pk": {"S": key}},
                "ConditionExpression": "attribute_not_exists(pk)",
                "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            }
        }

    with pytest.raises(ClientError) as error:
        dynamodb.transact_write_items(TransactItems=[put("new"), put("taken")])
    assert error.value.response["Error"]["Code"] == "TransactionCanceledException"
    reasons = error.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "ConditionalCheckFailed"]
    assert reasons[1]["Item"] == {"pk": {"S": "taken"}, "n": {"N": "1"}}
    assert "Item" not in dynamodb.get_item(TableName=table, Key={"pk": {"S": "new"}})
    dynamodb.transact_write_items(
        TransactItems=[
            put("new"),
            {
                "Update": {
                    "TableName": table,
                    "Key": {"pk": {"S": "taken"}},
                    "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}},
                }
            },
        ]
    )
    assert dynamodb.get_item(TableName=table, Key={"pk": {"S": "taken"}})["Item"]["n"] == {"N": "2"}


def test_transactions_with_a_client_token_happen_once(local_cloud: LocalCloud, table: str) -> None:
    dynamodb = local_cloud.client("dynamodb")
    update = {
        "TableName": table,
        "Key": {"pk": {"S": "counter"}},
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    for _ in range(2):
        dynamodb.transact_write_items(TransactItems=[{"Update": update}], ClientRequestToken="once")
    assert dynamodb.get_item(TableName=table, Key={"pk": {"S": "counter"}})["Item"]["n"] == {"N": "1"}


def test_indexes_are_sparse_sorted_and_paged(local_cloud: LocalCloud, table: str) -> None:
    dynamodb = local_cloud.client("dynamodb")
    for number in range(5):
        verified = {"verified_site": {"S": "a"}, "verified_at": {"S": f"2024-05-0{5 - number}"}}
        dynamodb.put_item(TableName=table, Item={"pk": {"S": str(number)}, **verified})
    dynamodb.put_item(TableName=table, Item={"pk": {"S": "unverified"}})
    pages = dynamodb.get_paginator("query").paginate(
        TableName=table,
        IndexName="by_verified",
        KeyConditionExpression="verified_site = :site AND verified_at >= :from",
        ExpressionAttributeValues={":site": {"S": "a"}, ":from": {"S": "2024-05-02"}},
        PaginationConfig={"PageSize": 2},
    )
    found = [item["pk"]["S"] for page in pages for item in page["Items"]]
    assert found == ["3", "2", "1", "0"]


def test_assumed_roles_are_held_to_their_policy_item_by_item(local_cloud: LocalCloud, table: str) -> None:
    iam = local_cloud.client("iam")
    role = f"{table}-role"
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(
        RoleName=role, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    arn = f"arn:aws:dynamodb:{REGION}:{ACCOUNT_ID}:table/{table}"
    allow = {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": arn}
    iam.put_role_policy(
        RoleName=role,
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    dynamodb = local_cloud.client("dynamodb", role)
    put = {"Put": {"TableName": table, "Item": {"pk": {"S": "x"}}}}
    dynamodb.transact_write_items(TransactItems=[put])
    with pytest.raises(ClientError) as error:
        dynamodb.transact_write_items(
            TransactItems=[put, {"Delete": {"TableName": table, "Key": {"pk": {"S": "y"}}}}]
        )
    assert error.value.response["Error"]["Code"] == "AccessDeniedException"
    with pytest.raises(ClientError) as error:
        dynamodb.query(
            TableName=table,
            IndexName="by_verified",
            KeyConditionExpression="verified_site = :s",
            ExpressionAttributeValues={":s": {"S": "a"}},
        )
    assert error.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_permission_of_sqs_holds_for_its_batch_form_too(local_cloud: LocalCloud, name: str) -> None:
    iam, url = local_cloud.client("iam"), local_cloud.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    arn = f"arn:aws:sqs:{REGION}:{ACCOUNT_ID}:{name}"
    allow = {"Effect": "Allow", "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"], "Resource": arn}
    iam.put_role_policy(
        RoleName=name,
        PolicyName="p",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
    )
    sqs = local_cloud.client("sqs", name)
    sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "x"}])
    (message,) = sqs.receive_message(QueueUrl=url)["Messages"]
    with pytest.raises(ClientError) as error:
        sqs.delete_message_batch(
            QueueUrl=url, Entries=[{"Id": "1", "ReceiptHandle": message["ReceiptHandle"]}]
        )
    assert error.value.response["Error"]["Code"] == "AccessDenied"


def test_put_object_if_none_match_has_one_winner(local_cloud: LocalCloud, name: str) -> None:
    s3 = local_cloud.client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        s3.put_object(Bucket=name, Key="a", Body=b"2", IfNoneMatch="*")
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


# -- archives and replays


def archive_of(cloud: LocalCloud, name: str, bus: str, pattern: dict[str, Any] | None = None) -> str:
    """An archive of a bus; returns its ARN."""
    more = {"EventPattern": json.dumps(pattern)} if pattern else {}
    arn: str = cloud.client("events").create_archive(
        ArchiveName=name, EventSourceArn=f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/{bus}", **more
    )["ArchiveArn"]
    return arn


def replay(client: Any, archive: str, bus: str, name: str, rules: list[str]) -> None:
    """Replay an archive to rules, and wait until EventBridge says that it is done."""
    now = time.time()
    client.start_replay(
        ReplayName=name,
        EventSourceArn=archive,
        EventStartTime=now - 600,
        EventEndTime=now + 600,
        Destination={
            "Arn": f"arn:aws:events:{REGION}:{ACCOUNT_ID}:event-bus/{bus}",
            "FilterArns": [f"arn:aws:events:{REGION}:{ACCOUNT_ID}:rule/{rule}" for rule in rules],
        },
    )
    eventually(lambda: client.describe_replay(ReplayName=name)["State"] == "COMPLETED")


def test_object_events_are_archived_and_replayed_with_their_version(
    local_cloud: LocalCloud, name: str
) -> None:
    versioned_bucket(local_cloud, name)
    pattern = {"source": ["aws.s3"], "detail": {"$or": [{"bucket": {"name": [name]}}, {"x": ["y"]}]}}
    url = queue_of_rule(local_cloud, name, pattern)
    archive = archive_of(local_cloud, name, "default", pattern)
    version = local_cloud.client("s3").put_object(Bucket=name, Key="upload/a", Body=b"one")["VersionId"]
    sqs = local_cloud.client("sqs")
    (first,) = eventually(lambda: receive(local_cloud, url))
    sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    replay(local_cloud.client("events"), archive, "default", name, [name])
    (again,) = eventually(lambda: receive(local_cloud, url))
    before, after = json.loads(first["Body"]), json.loads(again["Body"])
    assert after["detail"]["object"]["version-id"] == version
    assert after.pop("replay-name") == name
    assert {**after, "time": ""} == {**before, "time": ""}


def test_a_replay_reaches_the_rules_that_it_names_and_no_others(local_cloud: LocalCloud, name: str) -> None:
    events = local_cloud.client("events")
    events.create_event_bus(Name=name)
    urls = [queue_of_rule(local_cloud, f"{name}-{each}", {"source": ["test"]}, bus=name) for each in "ab"]
    archive = archive_of(local_cloud, name, name)
    entry = {"EventBusName": name, "Source": "test", "DetailType": "Told", "Detail": "{}"}
    events.put_events(Entries=[entry])
    for url in urls:
        (message,) = eventually(lambda each=url: receive(local_cloud, each))
        local_cloud.client("sqs").delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    replay(events, archive, name, name, [f"{name}/{name}-b"])
    assert len(eventually(lambda: receive(local_cloud, urls[1]))) == 1
    assert receive(local_cloud, urls[0]) == []


def test_replays_are_granted_by_archive(local_cloud: LocalCloud, name: str) -> None:
    events, iam = local_cloud.client("events"), local_cloud.client("iam")
    for each in ("mine", "other"):
        events.create_event_bus(Name=f"{name}-{each}")
    archives = [archive_of(local_cloud, f"{name}-{each}", f"{name}-{each}") for each in ("mine", "other")]
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"},
        "Action": "sts:AssumeRole",
    }
    iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    granted = [
        {"Effect": "Allow", "Action": "events:StartReplay", "Resource": archives[0]},
        {
            "Effect": "Allow",
            "Action": "events:DescribeReplay",
            "Resource": f"arn:aws:events:{REGION}:{ACCOUNT_ID}:replay/{name}-mine-*",
        },
    ]
    iam.put_role_policy(
        RoleName=name,
        PolicyName="replay",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": granted}),
    )
    operator = local_cloud.client("events", role_name=name)
    replay(operator, archives[0], f"{name}-mine", f"{name}-mine-1", [])
    with pytest.raises(ClientError, match="AccessDenied"):
        replay(operator, archives[1], f"{name}-other", f"{name}-other-1", [])
    replay(events, archives[1], f"{name}-other", f"{name}-other-1", [])
    with pytest.raises(ClientError, match="AccessDenied"):
        operator.describe_replay(ReplayName=f"{name}-other-1")
