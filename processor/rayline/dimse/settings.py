"""Settings of the gateway, beside those of the estate; the task's environment carries each field."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from rayline.environment import ENVIRONMENT_PREFIX
from rayline.errors import ConfigurationError

DIMSE_PREFIX = f"{ENVIRONMENT_PREFIX}DIMSE_"
# PS3.5 §6.2, VR AE: up to 16 characters without backslash and control characters; spaces around mean nothing.
_AE_TITLE = r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}$"


def _listed(value: Any) -> Any:
    """A list as the environment writes it: with commas in between."""
    return (
        tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
    )


def _network(text: str) -> str:
    ipaddress.ip_network(text)
    return text


_Title = Annotated[str, Field(pattern=_AE_TITLE)]
_Titles = Annotated[tuple[_Title, ...], NoDecode, BeforeValidator(_listed)]
_Networks = Annotated[
    tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(_listed)
]


class DimseSettings(BaseSettings):
    """Who may send to the gateway, how much, and how it proves who it is.

    A field ``ae_title`` is read from ``RAYLINE_DIMSE_AE_TITLE``.
    """

    model_config = SettingsConfigDict(env_prefix=DIMSE_PREFIX, frozen=True, extra="ignore")

    ae_title: _Title = Field(default="RAYLINE", description="AE title that peers must call")
    host: str = Field(default="0.0.0.0", description="address to listen on")  # noqa: S104 - a task has one
    port: int = Field(
        default=11_112, ge=0, le=65_535, description="TCP port to listen on; 0 takes a free one"
    )
    calling_ae_titles: _Titles = Field(
        default=(),
        description="AE titles that may send, with commas in between; nobody may where there is none",
    )
    peer_networks: _Networks = Field(
        default=("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "::1/128", "fc00::/7"),
        description="networks that peers connect from, with commas in between",
    )
    max_associations: int = Field(default=20, ge=1, le=500, description="associations at the same time")
    max_pdu_bytes: int = Field(
        default=262_144, ge=4_096, le=1_048_576, description="largest PDU that the gateway takes"
    )
    max_instance_bytes: int = Field(
        default=4_000_000_000, ge=1, le=5_000_000_000, description="largest instance that the gateway takes"
    )
    association_seconds: float = Field(
        default=30.0, gt=0, description="how long a peer may take to ask for an association, TLS included"
    )
    idle_seconds: float = Field(default=60.0, gt=0, description="how long a peer may say nothing")
    pdu_seconds: float = Field(default=60.0, gt=0, description="how long one PDU may take to arrive")
    drain_seconds: float = Field(
        default=100.0, ge=0, description="how long associations may go on once the gateway is asked to stop"
    )
    tls_certificate_file: Path | None = Field(
        default=None, description="PEM file of the gateway's certificate; none means no TLS"
    )
    tls_key_file: Path | None = Field(default=None, description="PEM file of its private key")
    tls_client_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities whose client certificates are taken; else none is asked for",
    )

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "DimseSettings":
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS takes both a certificate and its key")
        if self.tls_client_ca_file is not None and self.tls_certificate_file is None:
            raise ValueError("client certificates take TLS: set a certificate and its key")
        return self

    @classmethod
    def environment_name(cls, field: str) -> str:
        """The environment variable that carries a field."""
        return DIMSE_PREFIX + field.upper()


def load_dimse_settings(**overrides: Any) -> DimseSettings:
    """Read the gateway's settings from the environment.

    Raises:
        ConfigurationError: one is wrong; the message names the variable.
    """
    try:
        return DimseSettings(**overrides)
    except ValidationError as error:
        problems = ", ".join(
            f"{DimseSettings.environment_name(str(problem['loc'][0])) if problem['loc'] else 'RAYLINE_DIMSE_TLS_*'} "
            f"({problem['msg'].lower()})"
            for problem in error.errors()
        )
        raise ConfigurationError(f"the gateway's settings are wrong: {problems}") from None
