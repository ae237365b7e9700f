"""De-identification after PS3.15 Annex E: the basic profile, with keyed UIDs and pseudonyms.

Ten lines in a site profile are enough::

    plugins:
      - name: deid
        settings: {secret: deid}

Without a ``profile`` beside the secret, the basic profile is used and pixels are cleaned.
"""

from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rayline.plugin import ConfigurationError, Context, Instance, Policy, Receipt, hookimpl
from rayline_deid.document import DeidProfile
from rayline_deid.engine import deidentify
from rayline_deid.profile import Profile
from rayline_deid.pseudonyms import pseudonyms_for

api = 1
name = "deid"
policies = {
    # Looking for text takes the networks' memory, and seconds for each large frame.
    "transform_instance": Policy(
        on_failure="reject", timeout_seconds=600, memory_mb=3072, order=100, sees_phi=True
    )
}


class DeidSettings(BaseModel):
    """Settings of the plugin in the site profile.

    Attributes:
        secret: name of the site secret that keys UIDs and pseudonyms. There is no default secret:
            without one, nothing passes.
        profile: what is kept and what is not, as `rayline deid check` takes it from a file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    secret: str = Field(default="deid", min_length=1)
    profile: DeidProfile = Field(default_factory=DeidProfile)

    @model_validator(mode="after")
    def _is_a_profile(self) -> "DeidSettings":
        try:
            _ = self.resolved
        except ConfigurationError as conflict:
            raise ValueError(str(conflict)) from None
        return self

    @cached_property
    def resolved(self) -> Profile:
        """The profile over every attribute, worked out once."""
        return Profile(self.profile)


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
    profile: Profile = context.settings.resolved
    content = deidentify(instance.source, profile, pseudonyms, instance.header)
    return instance.with_content(content, Receipt(name, profile.digest, pseudonyms.key_id))
