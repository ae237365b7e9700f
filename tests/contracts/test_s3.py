"""S3: versions, conditional puts, pages and what is not there, as stages and stores rely on them."""

import base64
import hashlib
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


# -- ranges and parts

PART = 5 * 1024 * 1024  # the least that S3 takes of a part that is not the last


class Parts:
    """A multipart upload into the plain bucket."""

    def __init__(self, buckets: Buckets, key: str = "whole") -> None:
        self.client = buckets.client
        answer = self.client.create_multipart_upload(
            Bucket=buckets.plain, Key=key, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
        )
        self.identity = {"Bucket": buckets.plain, "Key": key, "UploadId": answer["UploadId"]}

    def send(self, number: int, content: bytes) -> dict[str, Any]:
        answer = self.client.upload_part(**self.identity, PartNumber=number, Body=content)
        return {"PartNumber": number, "ETag": answer["ETag"]}

    def copy(self, number: int, **source: Any) -> dict[str, Any]:
        answer = self.client.upload_part_copy(**self.identity, PartNumber=number, **source)
        return {"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]}

    def complete(self, *parts: dict[str, Any], **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.complete_multipart_upload(
            **self.identity, MultipartUpload={"Parts": list(parts)}, **more
        )
        return answer


@pytest.mark.parametrize("versioned", [False, True], ids=["plain", "versioned"])
def test_a_range_of_an_object_is_read_and_what_is_not_the_object_is_refused(
    buckets: Buckets, versioned: bool
) -> None:
    bucket = buckets.versioned if versioned else buckets.plain
    version = buckets.put(bucket, "k", b"0123456789")
    buckets.put(bucket, "other", b"other")
    which = {"VersionId": version} if versioned else {}
    if versioned:
        buckets.put(bucket, "k", b"a later version")
    head = buckets.client.head_object(Bucket=bucket, Key="k", **which)
    assert head["ContentLength"] == 10
    read = {"IfMatch": head["ETag"], **which}
    answer = buckets.client.get_object(Bucket=bucket, Key="k", Range="bytes=2-4", **read)
    assert answer["Body"].read() == b"234"
    assert (answer["ContentLength"], answer["ContentRange"]) == (3, "bytes 2-4/10")
    assert buckets.get(bucket, "k", Range="bytes=8-99", **read) == b"89"
    for wrong, code in (
        ({"Range": "bytes=10-11"}, "InvalidRange"),
        ({"IfMatch": '"x"'}, "PreconditionFailed"),
    ):
        with pytest.raises(ClientError) as error:
            buckets.get(bucket, "k", **{**read, **wrong})
        assert refused(error) == code


def test_a_checksum_is_told_where_it_is_asked_for(buckets: Buckets) -> None:
    buckets.put(buckets.versioned, "k", b"content", ChecksumAlgorithm="SHA256")
    version = buckets.put(buckets.versioned, "k", b"content", ChecksumAlgorithm="SHA256")
    asked = buckets.client.head_object(
        Bucket=buckets.versioned, Key="k", VersionId=version, ChecksumMode="ENABLED"
    )
    assert asked["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"content").digest()).decode()
    assert asked["ChecksumType"] == "FULL_OBJECT"
    assert "ChecksumSHA256" not in buckets.client.head_object(Bucket=buckets.versioned, Key="k")


def test_an_object_is_put_together_from_parts_that_are_sent_and_copied(buckets: Buckets) -> None:
    source = bytes(range(256)) * (PART // 128)
    version = buckets.put(buckets.versioned, "source", source)
    buckets.put(buckets.versioned, "source", b"a later version")
    etag = buckets.client.head_object(Bucket=buckets.versioned, Key="source", VersionId=version)["ETag"]
    copy_source = {"Bucket": buckets.versioned, "Key": "source", "VersionId": version}
    parts = Parts(buckets)
    last = parts.send(3, b"the end")
    first = parts.send(1, b"x" * PART)
    second = parts.copy(
        2, CopySource=copy_source, CopySourceRange=f"bytes=7-{PART + 6}", CopySourceIfMatch=etag
    )
    size = 2 * PART + 7
    done = parts.complete(first, second, last, MpuObjectSize=size)
    assert done["ETag"].endswith('-3"')
    content = buckets.get(buckets.plain, "whole")
    assert content == b"x" * PART + source[7 : PART + 7] + b"the end"
    assert buckets.client.head_object(Bucket=buckets.plain, Key="whole")["ETag"] == done["ETag"]
    assert buckets.client.list_multipart_uploads(Bucket=buckets.plain).get("Uploads") is None


def test_parts_that_do_not_fit_together_are_refused(buckets: Buckets) -> None:
    parts = Parts(buckets)
    small, whole = parts.send(1, b"small"), parts.send(2, b"x" * PART)
    refusals = [
        ((small, whole), {}, "EntityTooSmall"),
        ((whole, small), {}, "InvalidPartOrder"),
        (({**small, "ETag": '"x"'},), {}, "InvalidPart"),
        ((small, {"PartNumber": 3, "ETag": small["ETag"]}), {}, "InvalidPart"),
        ((whole,), {"MpuObjectSize": 7}, "InvalidRequest"),
    ]
    for named, more, code in refusals:
        with pytest.raises(ClientError) as error:
            parts.complete(*named, **more)
        assert refused(error) == code
    parts.complete(whole)
    assert buckets.get(buckets.plain, "whole") == b"x" * PART


def test_a_copied_range_must_lie_in_a_source_that_is_as_it_was(buckets: Buckets) -> None:
    buckets.put(buckets.plain, "source", b"x" * (PART + 10))
    buckets.put(buckets.plain, "small", b"x" * PART)
    parts = Parts(buckets)
    good = {"CopySource": {"Bucket": buckets.plain, "Key": "source"}, "CopySourceRange": "bytes=0-9"}
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"CopySourceRange": f"bytes=0-{PART + 10}"}, "InvalidArgument"),
        ({"CopySourceRange": "bytes=5-4"}, "InvalidArgument"),
        ({"CopySourceIfMatch": '"x"'}, "PreconditionFailed"),
        ({"CopySource": {"Bucket": buckets.plain, "Key": "gone"}}, "NoSuchKey"),
        ({"CopySource": {"Bucket": buckets.plain, "Key": "small"}}, "InvalidRequest"),
    ]
    for wrong, code in refusals:
        with pytest.raises(ClientError) as error:
            parts.copy(1, **{**good, **wrong})
        assert refused(error) == code
    assert parts.copy(1, **good)["PartNumber"] == 1


def test_an_aborted_upload_leaves_nothing(buckets: Buckets) -> None:
    parts = Parts(buckets)
    part = parts.send(1, b"x")
    found = buckets.client.list_multipart_uploads(Bucket=buckets.plain)["Uploads"]
    assert [each["UploadId"] for each in found] == [parts.identity["UploadId"]]
    parts.client.abort_multipart_upload(**parts.identity)
    assert buckets.client.list_multipart_uploads(Bucket=buckets.plain).get("Uploads") is None
    with pytest.raises(ClientError) as error:
        parts.complete(part)
    assert refused(error) == "NoSuchUpload"
    assert buckets.keys(buckets.plain) == []


def tags_of(buckets: Buckets, key: str, version_id: str) -> dict[str, str]:
    answer = buckets.client.get_object_tagging(Bucket=buckets.versioned, Key=key, VersionId=version_id)
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


def put_tags(buckets: Buckets, key: str, version_id: str, tags: dict[str, str]) -> None:
    buckets.client.put_object_tagging(
        Bucket=buckets.versioned,
        Key=key,
        VersionId=version_id,
        Tagging={"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]},
    )


def test_each_version_has_tags_of_its_own_which_are_replaced_together(buckets: Buckets) -> None:
    first, second = (buckets.put(buckets.versioned, "a key", content) for content in (b"one", b"two"))
    put_tags(buckets, "a key", first, {"state": "imported", "other": "x"})
    assert tags_of(buckets, "a key", first) == {"state": "imported", "other": "x"}
    assert tags_of(buckets, "a key", second) == {}
    put_tags(buckets, "a key", first, {"state": "again"})
    assert tags_of(buckets, "a key", first) == {"state": "again"}
    assert buckets.get(buckets.versioned, "a key") == b"two"


def test_tags_of_a_version_that_is_gone_are_refused(buckets: Buckets) -> None:
    first, _ = (buckets.put(buckets.versioned, "a key", content) for content in (b"one", b"two"))
    buckets.client.delete_object(Bucket=buckets.versioned, Key="a key", VersionId=first)
    for attempt in (
        lambda: tags_of(buckets, "a key", first),
        lambda: put_tags(buckets, "a key", first, {"state": "imported"}),
    ):
        with pytest.raises(ClientError) as error:
            attempt()
        assert refused(error) == "NoSuchVersion"
