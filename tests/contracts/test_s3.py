"""S3: versions, conditional puts, pages and what is not there, as stages and stores rely on them."""

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError


class Buckets:
    """A versioned and a plain bucket of the test's own."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.plain = f"contract-{uuid.uuid4().hex[:12]}"
        self.versioned = f"{self.plain}-versioned"
        for name in (self.plain, self.versioned):
            client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=self.versioned, VersioningConfiguration={"Status": "Enabled"})

    def put(self, bucket: str, key: str, content: bytes = b"content", **more: Any) -> str:
        answer = self.client.put_object(Bucket=bucket, Key=key, Body=content, **more)
        return str(answer.get("VersionId", ""))

    def get(self, bucket: str, key: str, **more: Any) -> bytes:
        content: bytes = self.client.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
        return content

    def keys(self, bucket: str, prefix: str = "", **more: Any) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, **more)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


@pytest.fixture
def buckets(cloud: Any) -> Buckets:
    return Buckets(cloud.client("s3"))


def refused(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_each_put_of_a_versioned_bucket_is_a_version_that_stays(buckets: Buckets) -> None:
    first = buckets.put(buckets.versioned, "a key", b"one")
    second = buckets.put(buckets.versioned, "a key", b"two")
    assert first != second
    assert buckets.get(buckets.versioned, "a key") == b"two"
    assert buckets.get(buckets.versioned, "a key", VersionId=first) == b"one"
    buckets.client.delete_object(Bucket=buckets.versioned, Key="a key")
    with pytest.raises(ClientError) as error:
        buckets.get(buckets.versioned, "a key")
    assert refused(error) == "NoSuchKey"
    assert buckets.get(buckets.versioned, "a key", VersionId=second) == b"two"
    buckets.client.delete_object(Bucket=buckets.versioned, Key="a key", VersionId=first)
    with pytest.raises(ClientError) as error:
        buckets.get(buckets.versioned, "a key", VersionId=first)
    assert refused(error) == "NoSuchVersion"


def test_versions_are_listed_newest_first_and_delete_markers_apart(buckets: Buckets) -> None:
    first = buckets.put(buckets.versioned, "upload/a", b"1")
    second = buckets.put(buckets.versioned, "upload/a", b"2")
    other = buckets.put(buckets.versioned, "upload/b", b"3")
    buckets.client.delete_object(Bucket=buckets.versioned, Key="upload/b")
    pages = buckets.client.get_paginator("list_object_versions").paginate(
        Bucket=buckets.versioned, Prefix="upload/"
    )
    found = [each for page in pages for each in page.get("Versions", [])]
    assert [(each["Key"], each["VersionId"]) for each in found] == [
        ("upload/a", second),
        ("upload/a", first),
        ("upload/b", other),
    ]
    assert [each["IsLatest"] for each in found] == [True, False, False]
    assert all(each["LastModified"].tzinfo is not None for each in found)


def test_a_plain_bucket_keeps_the_last(buckets: Buckets) -> None:
    assert buckets.put(buckets.plain, "k", b"one") == ""
    buckets.put(buckets.plain, "k", b"two")
    assert buckets.get(buckets.plain, "k") == b"two"
    buckets.client.delete_object(Bucket=buckets.plain, Key="k")
    buckets.client.delete_object(Bucket=buckets.plain, Key="k")
    assert buckets.keys(buckets.plain) == []


def test_what_is_not_there(buckets: Buckets) -> None:
    with pytest.raises(ClientError) as error:
        buckets.get(buckets.plain, "gone")
    assert refused(error) == "NoSuchKey"
    with pytest.raises(ClientError) as error:
        buckets.get(buckets.plain + "-gone", "k")
    assert refused(error) == "NoSuchBucket"
    with pytest.raises(ClientError) as error:
        buckets.client.head_object(Bucket=buckets.plain, Key="gone")
    assert refused(error) == "404"


def test_a_put_that_must_be_the_first_is_refused_the_second_time(buckets: Buckets) -> None:
    buckets.put(buckets.plain, "manifest", b"one", IfNoneMatch="*")
    with pytest.raises(ClientError) as error:
        buckets.put(buckets.plain, "manifest", b"two", IfNoneMatch="*")
    assert refused(error) == "PreconditionFailed"
    assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412
    assert buckets.get(buckets.plain, "manifest") == b"one"


def test_lists_go_by_prefix_in_the_order_of_utf8_and_in_pages(buckets: Buckets) -> None:
    keys = ["imports/b/1", "imports/a/2", "imports/a/1", "imports/ä/1", "imports/a/10", "other"]
    for key in keys:
        buckets.put(buckets.plain, key)
    assert buckets.keys(buckets.plain, "imports/a/") == ["imports/a/1", "imports/a/10", "imports/a/2"]
    expected = sorted(keys, key=str.encode)
    found, request = [], {"Bucket": buckets.plain, "MaxKeys": 2}
    while True:
        page = buckets.client.list_objects_v2(**request)
        found += [each["Key"] for each in page["Contents"]]
        if not page["IsTruncated"]:
            break
        request["ContinuationToken"] = page["NextContinuationToken"]
    assert found == expected
    assert buckets.client.list_objects_v2(Bucket=buckets.plain, Prefix="none").get("Contents") is None


def test_many_are_deleted_at_once_and_those_that_are_gone_are_no_error(buckets: Buckets) -> None:
    for key in ("a", "b", "c"):
        buckets.put(buckets.plain, key)
    answer = buckets.client.delete_objects(
        Bucket=buckets.plain,
        Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "gone"}], "Quiet": True},
    )
    assert not answer.get("Errors")
    assert buckets.keys(buckets.plain) == ["c"]


@pytest.mark.parametrize(
    "key",
    [
        "upload/DOE^JANE 100%.dcm",
        "upload/%41+b&c=d?e#f",
        "upload/" + "ü" * 508,
        "upload//a/./b/../c",
        "upload/日本\n",
    ],
    ids=["percent", "reserved", "1023 bytes", "dots", "newline"],
)
def test_any_key_comes_back_as_it_was_given(buckets: Buckets, key: str) -> None:
    version = buckets.put(buckets.versioned, key, b"x")
    assert buckets.get(buckets.versioned, key, VersionId=version) == b"x"
    assert buckets.keys(buckets.versioned) == [key]


def test_a_body_can_be_read_line_by_line(buckets: Buckets) -> None:
    buckets.put(buckets.plain, "lines", b'{"a": 1}\n\n{"b": 2}\n')
    body = buckets.client.get_object(Bucket=buckets.plain, Key="lines")["Body"]
    assert [line for line in body.iter_lines() if line] == [b'{"a": 1}', b'{"b": 2}']
