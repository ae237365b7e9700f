"""Keyed hashes: how identifying values are referred to outside the identified zone."""

import hashlib
import hmac

from pydantic import SecretStr

from rayline.errors import ConfigurationError


class KeyedHash:
    """HMAC-SHA256 of identifying values under the site's tracking secret.

    Without the secret a hash cannot be recomputed from a guessed name or UID, as a plain digest could.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 16:
            raise ConfigurationError(
                "the tracking secret is shorter than 16 bytes; store at least 32 random bytes"
            )
        self._secret = secret

    @classmethod
    def from_secrets(cls, secrets: dict[str, SecretStr]) -> "KeyedHash":
        """Take the secret named ``tracking``.

        Raises:
            ConfigurationError: there is none; no default exists.
        """
        if "tracking" not in secrets:
            raise ConfigurationError(
                "no tracking secret; inject RAYLINE_SECRET_TRACKING from the stack's tracking secret"
            )
        return cls(secrets["tracking"].get_secret_value().encode())

    def of(self, *parts: str) -> str:
        """128-bit hex digest of the parts; parts are length-prefixed, so no two lists of parts collide."""
        mac = hmac.new(self._secret, digestmod=hashlib.sha256)
        for part in parts:
            encoded = part.encode("utf-8", "surrogatepass")
            mac.update(len(encoded).to_bytes(8, "big"))
            mac.update(encoded)
        return mac.hexdigest()[:32]
