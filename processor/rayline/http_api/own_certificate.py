"""A certificate that a task makes for itself, so that what its load balancer sends it travels encrypted.

Source: Elastic Load Balancing user guide, "Target groups for your Application Load Balancers": a load balancer does not
check its targets' certificates. Nobody else connects to the task, so nobody needs to know whose certificate it is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

# Longer than any task runs; a new one makes a new certificate.
_DAYS = 365
_SKEW = timedelta(hours=1)


@contextmanager
def own_certificate(now: datetime) -> Iterator[Path]:
    """A file with a new private key and its certificate (PEM), for as long as the context lasts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rayline-api")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # The folder is this user's alone (tempfile, "mkdtemp").
    with TemporaryDirectory(prefix="rayline-api-") as folder:
        path = Path(folder) / "certificate.pem"
        path.write_bytes(private + certificate.public_bytes(Encoding.PEM))
        yield path
