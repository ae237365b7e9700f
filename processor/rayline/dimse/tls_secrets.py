"""The gateway's certificate as ECS injects it: secrets in the environment, written to files that OpenSSL can read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import SecretStr

from rayline.errors import ConfigurationError

CERTIFICATE = "dimse_certificate"
CLIENT_CA = "dimse_client_ca"


@contextmanager
def tls_files(secrets: Mapping[str, SecretStr]) -> Iterator[dict[str, Path]]:
    """Settings of the gateway's TLS, whose files are there for as long as the context lasts.

    Args:
        secrets: by name; ``dimse_certificate`` holds private key and certificates (PEM), ``dimse_client_ca`` the
            authorities of the peers' certificates. Without the former there are no settings.

    Raises:
        ConfigurationError: peers are to be known by certificates, and the gateway has none itself.
    """
    if CERTIFICATE not in secrets:
        if CLIENT_CA in secrets:
            raise ConfigurationError(
                "the gateway has authorities of client certificates and no certificate of its own; "
                "give the secret dimse-certificate a value"
            )
        yield {}
        return
    # The folder is this user's alone (tempfile, "mkdtemp").
    with TemporaryDirectory(prefix="rayline-dimse-") as folder:
        certificate = Path(folder) / "certificate.pem"
        certificate.write_text(secrets[CERTIFICATE].get_secret_value())
        files = {"tls_certificate_file": certificate, "tls_key_file": certificate}
        if CLIENT_CA in secrets:
            files["tls_client_ca_file"] = Path(folder) / "client-ca.pem"
            files["tls_client_ca_file"].write_text(secrets[CLIENT_CA].get_secret_value())
        yield files
