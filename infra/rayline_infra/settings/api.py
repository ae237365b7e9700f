"""The HTTP API, who may sign in to it, and the viewer's delivery."""

import re
from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from rayline_infra.settings.processor import IMAGE_TAG, task_size_problems
from rayline_infra.settings.section import Section, Texts, setting

# Cognito redirects to https, and to this machine for those who develop (Cognito, "App client callback URLs").
ORIGIN = re.compile(r"https://[a-z0-9.-]+(:\d+)?|http://localhost(:\d+)?")


class ApiSettings(Section):
    """The API's tasks, its name and its users."""

    cpu_units: int = setting("apiCpuUnits", "Fargate CPU units of an API task.", 1024, default=1024)
    memory_mib: int = setting("apiMemoryMib", "Memory of an API task in MiB.", 2048, default=2048)
    image_tag: str = setting("apiImageTag", "Immutable tag of the API's image.", "0.1.0", pattern=IMAGE_TAG)
    least_tasks: Annotated[int, Field(ge=1, le=100)] = setting(
        "apiLeastTasks", "API tasks that always run.", 2, default=2
    )
    most_tasks: Annotated[int, Field(ge=1, le=100)] = setting(
        "apiMostTasks", "API tasks that run under load.", 10, default=10
    )
    domain_name: str = setting(
        "apiDomainName",
        "Host name of viewer and API.",
        "rayline.hospital-a.org",
        pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$",
    )
    hosted_zone_id: str = setting(
        "hostedZoneId",
        "Route 53 zone of the host name, where its records and the certificate's proof are made.",
        "Z0123456789ABCDEFGHIJ",
        pattern=r"^Z[A-Z0-9]{10,31}$",
    )
    cors_origins: Texts = setting(
        "corsOrigins",
        "Other origins whose pages may call the API, e.g. a viewer under development.",
        ["https://viewer.hospital-a.org"],
        default=(),
    )
    waf_requests_per_five_minutes: Annotated[int, Field(ge=100, le=2_000_000_000)] = setting(
        "wafRequestsPerFiveMinutes",
        "Requests from one address in five minutes, above which it is blocked.",
        20_000,
        default=20_000,
    )
    single_sign_on: Literal["none", "saml", "oidc"] = setting(
        "singleSignOn",
        "The hospital's identity provider, beside users with a password and MFA.",
        "saml",
        default="none",
    )
    saml_metadata_url: str = setting(
        "samlMetadataUrl",
        "SAML metadata of the identity provider, where singleSignOn is saml.",
        "https://login.hospital-a.org/metadata.xml",
        default="",
        pattern=r"^(https://.+)?$",
    )
    oidc_issuer: str = setting(
        "oidcIssuer",
        "Issuer of the identity provider, where singleSignOn is oidc; its client's secret is a secret of the stack.",
        "https://login.hospital-a.org",
        default="",
        pattern=r"^(https://.+)?$",
    )
    oidc_client_id: str = setting(
        "oidcClientId",
        "Client id at the identity provider, where singleSignOn is oidc.",
        "rayline",
        default="",
        pattern=r"^[\w.-]*$",
    )

    oidc_client_secret: str = setting(
        "oidcClientSecret",
        "Client secret at the identity provider, where singleSignOn is oidc; set it with --secret.",
        "--secret",
        default="",
        pattern=r"^[\x20-\x7e]*$",
        repr=False,
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        yield from task_size_problems("api", self.cpu_units, self.memory_mib)
        if wrong := [each for each in self.cors_origins if not ORIGIN.fullmatch(each)]:
            yield "corsOrigins", f"{wrong[0]} is no origin of an https page, or of http://localhost"
        if self.most_tasks < self.least_tasks:
            yield "apiMostTasks", "it must not be below apiLeastTasks"
        if self.single_sign_on == "saml" and not self.saml_metadata_url:
            yield "samlMetadataUrl", "singleSignOn is saml"
        if self.single_sign_on == "oidc" and not self.oidc_issuer:
            yield "oidcIssuer", "singleSignOn is oidc"
        if self.single_sign_on == "oidc" and not self.oidc_client_id:
            yield "oidcClientId", "singleSignOn is oidc"
        if self.single_sign_on == "oidc" and not self.oidc_client_secret:
            yield "oidcClientSecret", "singleSignOn is oidc"
