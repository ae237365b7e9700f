"""A task speaks TLS with a certificate of its own, and its health check asks it over that."""

import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
import uvicorn
from cryptography import x509

from rayline.cli.api import NotAnswering, _health
from rayline.http_api.access import FirstThatKnows, Principal
from rayline.http_api.app import create_app
from rayline.http_api.own_certificate import own_certificate

NOW = datetime.now(UTC)


class Nobody:
    def authenticate(self, headers: object) -> Principal | None:
        return None


def test_the_certificate_holds_now_and_is_gone_with_the_task() -> None:
    with own_certificate(NOW) as path:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        assert path.parent.stat().st_mode & 0o077 == 0
        assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc
        assert certificate.not_valid_after_utc - NOW >= timedelta(days=364)
    assert not path.exists()


def test_the_health_check_reaches_an_api_that_speaks_tls() -> None:
    triage: object = None
    app = create_app(triage, FirstThatKnows([Nobody()]))  # type: ignore[arg-type]
    with own_certificate(NOW) as certificate, _serving(app, certificate) as port:
        _health(port)
        with (
            socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
            ssl._create_unverified_context().wrap_socket(plain) as encrypted,
        ):
            assert encrypted.version() in ("TLSv1.2", "TLSv1.3")


def test_a_health_check_without_an_api_fails() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NotAnswering, match="does not answer"):
            _health(taken.getsockname()[1])


class _serving:
    """An application behind uvicorn on a free port, with a certificate."""

    def __init__(self, app: object, certificate: Path) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, ssl_certfile=certificate)  # type: ignore[arg-type]
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> int:
        self._socket.listen()
        self._thread.start()
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=10)
