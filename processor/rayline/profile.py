"""The site profile: which plugins a site requires and how they are treated, readable without importing them."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rayline.errors import ConfigurationError


class PolicyOverride(BaseModel):
    """The site's word on one hook of one plugin; what is unset stays as the plugin declares it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    on_failure: Literal["reject", "retry", "ignore"] | None = None
    timeout_seconds: float | None = Field(default=None, gt=0)
    memory_mb: int | None = Field(default=None, ge=16)
    order: int | None = None
    sees_phi: bool | None = None


class PluginProfile(BaseModel):
    """One plugin of the site."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    required: bool = True
    policies: dict[str, PolicyOverride] = {}
    settings: dict[str, Any] = {}


class SiteProfile(BaseModel):
    """A site's profile. Installed plugins that it does not list are not loaded.

    Attributes:
        identity: ``deidentified`` refuses to store an instance without a receipt; ``original`` stores as received.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    identity: Literal["deidentified", "original"] = "deidentified"
    plugins: tuple[PluginProfile, ...] = ()


def load_profile(path: Path) -> SiteProfile:
    """Read a site profile.

    Raises:
        ConfigurationError: the file is missing, is no YAML, or has a wrong field, which is named.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        raise ConfigurationError(
            f"no readable site profile at {path}; set RAYLINE_SITE_PROFILE to a file of config/site/"
        ) from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the site profile {path} is not YAML: {error}") from None
    try:
        return SiteProfile.model_validate(document or {})
    except ValidationError as error:
        raise ConfigurationError(f"the site profile {path} is wrong: {problems_of(error)}") from None


def problems_of(error: ValidationError) -> str:
    """Each wrong field and what is wrong with it, without its value."""
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'document'}: {problem['msg']}" for problem in error.errors()
    )
