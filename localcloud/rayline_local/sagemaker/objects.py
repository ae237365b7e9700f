"""S3 in and out of a job's folders, under the job's role."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path
from typing import Any


class NoSuchInput(Exception):
    """A job's input names no object."""


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``.

    Raises:
        NoSuchInput: it is no S3 URI.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise NoSuchInput("an input or output is not an s3:// URI")
    return bucket, key


def download(client: Any, uri: str, folder: Path) -> int:
    """Copy one object, or all under a prefix, into a folder; return how many.

    Raises:
        NoSuchInput: nothing lies there, or a key would leave the folder.
    """
    bucket, prefix = split_uri(uri)
    folder.mkdir(parents=True, exist_ok=True)
    copied = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            key = entry["Key"]
            if key.endswith("/"):
                continue
            if key == prefix:
                relative = key.rsplit("/", 1)[-1]
            elif key.startswith(prefix.rstrip("/") + "/") or not prefix:
                relative = key[len(prefix) :].lstrip("/")
            else:
                # A sibling that shares the first letters, `test` and `testing`, is not meant.
                continue
            target = (folder / relative).resolve()
            if not target.is_relative_to(folder.resolve()):
                raise NoSuchInput("an object's key would leave the job's folder")
            target.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(bucket, key, str(target))
            copied += 1
    if not copied:
        raise NoSuchInput(f"no S3 object lies under {uri}")
    return copied


def upload_folder(client: Any, folder: Path, uri: str, kms_key_id: str | None) -> int:
    """Copy every file of a folder under an S3 prefix; return how many."""
    bucket, prefix = split_uri(uri)
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    for path in files:
        key = f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}".lstrip("/")
        upload_file(client, path, f"s3://{bucket}/{key}", kms_key_id)
    return len(files)


def upload_file(client: Any, path: Path, uri: str, kms_key_id: str | None) -> None:
    """Copy one file to one S3 object, encrypted with the key where one is given."""
    bucket, key = split_uri(uri)
    extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id} if kms_key_id else {}
    client.upload_file(str(path), bucket, key, ExtraArgs=extra)


def pack(folder: Path, archive: Path) -> None:
    """Write a folder as ``.tar.gz``; equal folders give equal bytes."""

    def plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
        entry.mtime = entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry

    # Weights hardly compress; level 1 costs a second where 9 costs ten.
    with (
        archive.open("wb") as file,
        gzip.GzipFile("", "wb", 1, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(folder.rglob("*")):
            tar.add(path, path.relative_to(folder).as_posix(), recursive=False, filter=plain)
