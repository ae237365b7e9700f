"""The front's process: bind a loopback port, configure MiniStack, serve until SIGTERM."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import uvicorn

from rayline_local.front import emulator
from rayline_local.front.app import Front
from rayline_local.front.control import ControlPaths
from rayline_local.front.emulated_faults import EmulatedFaults
from rayline_local.front.services import Cloud, LocalService

LOOPBACK = "127.0.0.1"
#: connections that are still busy (long polls) after a SIGTERM are cut, so that state is saved soon
GRACEFUL_SECONDS = 3
SERVER_FILE = "server.json"
LOCK_FILE = "front.lock"
TOKEN_FILE = "token"  # noqa: S105 - the name of a file


def read_or_create_token(path: Path) -> str:
    """The secret from which every role's credential token derives; readable by its owner only."""
    if path.exists():
        return path.read_text().strip()
    token = secrets.token_urlsafe(32)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(token + "\n")
    return token


def claim(state_dir: Path) -> TextIO:
    """Hold the state folder for this process alone; the lock goes with the process, however it ends."""
    lock = (state_dir / LOCK_FILE).open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise SystemExit(f"another local cloud uses {state_dir}: stop it with `rayline local down`") from None
    return lock


def hosted_services(cloud: Cloud) -> dict[str, LocalService]:
    """The services that we add beside MiniStack, by SigV4 signing name."""
    from rayline_local.healthimaging.service import HealthImagingService
    from rayline_local.sagemaker.service import SageMakerService

    services: list[LocalService] = [HealthImagingService(cloud), SageMakerService(cloud)]
    return {service.signing_name: service for service in services}


def serve(*, state_dir: Path, port: int, account_id: str, region: str, stack: str) -> None:
    """Serve the account until SIGTERM or SIGINT; port 0 takes a free one, written to `server.json`."""
    state_dir.mkdir(parents=True, exist_ok=True)
    lock = claim(state_dir)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    bound_port = int(listener.getsockname()[1])
    endpoint_url = f"http://{LOOPBACK}:{bound_port}"
    emulator.configure(state_dir / "ministack", account_id=account_id, region=region, port=bound_port)
    cloud = Cloud(
        account_id=account_id,
        region=region,
        stack=stack,
        state_dir=state_dir,
        endpoint_url=endpoint_url,
        secret=read_or_create_token(state_dir / TOKEN_FILE),
    )
    application = emulator.load_application()
    emulator.report_grants(cloud.observed_grants.add)
    front = Front(
        application, ControlPaths(cloud, os.getpid()), hosted_services(cloud), EmulatedFaults(cloud)
    )
    server_file = state_dir / SERVER_FILE
    server_file.write_text(
        json.dumps(
            {
                "pid": os.getpid(),
                "port": bound_port,
                "endpoint_url": endpoint_url,
                "account_id": account_id,
                "region": region,
                "stack": stack,
                "started_at": datetime.now(UTC).isoformat(),
            }
        )
    )
    config = uvicorn.Config(
        front,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    # uvicorn raises the signal that stopped it once more when it is done; a clean stop then exits with 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        server_file.unlink(missing_ok=True)
        lock.close()


def main() -> None:
    """Command line of the detached process."""
    parser = argparse.ArgumentParser(prog="rayline-local-front", description=__doc__)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--account-id", required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--stack", required=True)
    arguments = parser.parse_args()
    serve(
        state_dir=arguments.state_dir.resolve(),
        port=arguments.port,
        account_id=arguments.account_id,
        region=arguments.region,
        stack=arguments.stack,
    )


if __name__ == "__main__":
    main()
