"""``rayline upload``: send files to the uploads bucket."""

import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from rayline.aws import Clients
from rayline.errors import ConfigurationError
from rayline.settings import load_settings
from rayline.uploads import put_upload, upload_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PARALLEL_UPLOADS = 8


@dataclass(frozen=True)
class UploadedObject:
    """One object as S3 acknowledged it."""

    path: str
    key: str
    version_id: str
    size_bytes: int


def files_below(paths: Sequence[Path]) -> list[tuple[Path, str]]:
    """Files named by paths, folders walked, each with the name that it gets below the site's prefix.

    Raises:
        ConfigurationError: a path does not exist.
    """
    found = []
    for path in paths:
        if path.is_dir():
            found += [
                (file, str(file.relative_to(path.parent)))
                for file in sorted(path.rglob("*"))
                if file.is_file()
            ]
        elif path.is_file():
            found.append((path, path.name))
        else:
            raise ConfigurationError(f"no file or folder {path}")
    return found


def upload_files(
    s3: "S3Client", bucket: str, site: str, files: Sequence[tuple[Path, str]]
) -> Iterator[UploadedObject]:
    """Upload files side by side, and yield each once S3 has acknowledged it."""

    def send(file: tuple[Path, str]) -> UploadedObject:
        path, name = file
        key = upload_key(site, name)
        with path.open("rb") as content:
            version_id = put_upload(s3, bucket, key, content)
            return UploadedObject(str(path), key, version_id, os.fstat(content.fileno()).st_size)

    with ThreadPoolExecutor(_PARALLEL_UPLOADS) as executor:
        yield from executor.map(send, files)


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def upload(
        paths: Annotated[list[Path], typer.Argument(help="Files, or folders to walk.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a file.")] = False,
    ) -> None:
        """Upload DICOM files; each one becomes an `uploaded` event.

        An upload is counted once S3 has acknowledged it. Follow it with `rayline status`.
        """
        settings = load_settings()
        files = files_below(paths)
        s3 = Clients().s3
        count = size_bytes = 0
        with Progress(disable=as_json) as progress:
            task = progress.add_task("uploading", total=len(files))
            for uploaded in upload_files(s3, settings.uploads_bucket, settings.site, files):
                count += 1
                size_bytes += uploaded.size_bytes
                progress.advance(task)
                if as_json:
                    typer.echo(json.dumps(asdict(uploaded), sort_keys=True))
        if not as_json:
            typer.echo(f"{count} files, {size_bytes / 1e6:.1f} MB")
