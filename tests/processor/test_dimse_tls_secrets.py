"""The gateway's certificate comes as a secret, and lies in files only while the gateway runs."""

import pytest
from pydantic import SecretStr

from rayline.dimse.settings import load_dimse_settings
from rayline.dimse.tls_secrets import tls_files
from rayline.errors import ConfigurationError

CERTIFICATE = SecretStr("key and certificate")
AUTHORITIES = SecretStr("authorities")


def test_a_certificate_and_the_peers_authorities_become_the_gateways_settings() -> None:
    with tls_files({"dimse_certificate": CERTIFICATE, "dimse_client_ca": AUTHORITIES}) as files:
        settings = load_dimse_settings(**files)
        assert settings.tls_certificate_file == settings.tls_key_file
        assert settings.tls_certificate_file is not None
        assert settings.tls_client_ca_file is not None
        assert settings.tls_certificate_file.read_text() == "key and certificate"
        assert settings.tls_client_ca_file.read_text() == "authorities"
        assert settings.tls_certificate_file.parent.stat().st_mode & 0o077 == 0
    assert not settings.tls_certificate_file.exists()


def test_without_a_certificate_the_gateway_speaks_plain_dimse() -> None:
    with tls_files({"tracking": SecretStr("x")}) as files:
        assert files == {}
        assert load_dimse_settings(**files).tls_certificate_file is None


def test_authorities_alone_let_nobody_start_without_tls() -> None:
    with (
        pytest.raises(ConfigurationError, match="dimse-certificate"),
        tls_files({"dimse_client_ca": AUTHORITIES}),
    ):
        pass
