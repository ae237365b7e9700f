"""De-identification after PS3.15 Annex E: the basic profile, with keyed UIDs and pseudonyms.

Ten lines in a site profile are enough::

    plugins:
      - name: deid
        settings: {secret: deid}
"""

from functools import cache

from pydantic import BaseModel, ConfigDict, Field

from rayline.plugin import Context, Instance, Policy, Receipt, hookimpl
from rayline_deid.engine import deidentify
from rayline_deid.profile import Profile, default_profile
from rayline_deid.pseudonyms import pseudonyms_for

api = 1
name = "deid"
policies = {"transform_instance": Policy(on_failure="reject", timeout_seconds=60, order=100, sees_phi=True)}


class DeidSettings(BaseModel):
    """Settings of the plugin in the site profile.

    Attributes:
        secret: name of the site secret that keys UIDs and pseudonyms. There is no default secret:
            without one, nothing passes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str = Field(default="deid", min_length=1)


@cache
def _profile() -> Profile:
    return default_profile()


@hookimpl
def settings_model() -> type[BaseModel]:
    """Settings of the plugin."""
    return DeidSettings


@hookimpl
def transform_instance(instance: Instance, context: Context) -> Instance:
    """Hand on the instance without what identifies its patient, with a receipt.

    Raises:
        RejectedEvent: it cannot be de-identified by its header alone, or cannot be read.
        ConfigurationError: the site has no secret of that name, or too short a one.
    """
    pseudonyms = pseudonyms_for(context.secret(context.settings.secret), context.site)
    profile = _profile()
    content = deidentify(instance.source, profile, pseudonyms)
    return instance.with_content(content, Receipt(name, profile.digest, pseudonyms.key_id))
