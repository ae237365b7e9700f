"""Who people are: a Cognito user pool, the hospital's identity provider beside it, and the keys that prove tokens.

The viewer signs people in at Cognito's own page (authorization code with PKCE) and sends the access token with each
request; the API checks it by keys that it was given. No load balancer authenticates: an internal one would need a
NAT gateway to reach the pool's token endpoint, whose domain takes nothing by PrivateLink (Cognito developer guide,
"Access Amazon Cognito using an interface endpoint"), and no task has a way to fetch keys either.
"""

from dataclasses import dataclass
from typing import get_args

import pulumi
import pulumi_aws as aws

from rayline.http_api.groups import PEOPLE, Group
from rayline.names import EstateNames
from rayline_infra.scanning.exemptions import ScannerExemption
from rayline_infra.settings import ApiSettings

PASSWORD_LENGTH = 14
ACCESS_MINUTES = 15
# A shift; after it a radiologist signs in again.
REFRESH_HOURS = 10
SIGNED_IN_PATH = "/signed-in"
VALIDITY_UNITS: aws.cognito.UserPoolClientTokenValidityUnitsArgsDict = {
    "access_token": "minutes",
    "id_token": "minutes",
    "refresh_token": "hours",
}
NO_KEYS = '{"keys": []}'

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV_AWS_338",
        "sign-in-logs",
        "what a log tells is needed for days; evidence that must stay for years is the audit trail, in a locked bucket",
    ),
    ScannerExemption(
        "CKV2_AWS_34",
        "sign-in-keys",
        "public keys, which anybody may read",
    ),
)


@dataclass(frozen=True)
class SignInArgs:
    """Names, who else vouches for people, and whether the users can be deleted."""

    names: EstateNames
    api: ApiSettings
    deletion_protection: bool
    logs_key_arn: pulumi.Input[str]
    log_days: int


class SignIn(pulumi.ComponentResource):
    """The users, their groups and their one client; nobody makes himself a user, and everybody has a second factor."""

    def __init__(self, name: str, args: SignInArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:sign-in:SignIn", name, None, opts)
        self._args = args
        self._child = pulumi.ResourceOptions(parent=self)
        self.pool = self._declare_pool()
        self._declare_groups()
        self._record_sign_ins()
        providers = self._declare_providers()
        self.client = self._declare_client(providers)
        self.domain = aws.cognito.UserPoolDomain(
            "sign-in-domain",
            domain=args.names.sign_in_domain,
            user_pool_id=self.pool.id,
            managed_login_version=2,
            opts=self._child,
        )
        # Managed login shows no page to a client without a style.
        aws.cognito.ManagedLoginBranding(
            "sign-in-page",
            user_pool_id=self.pool.id,
            client_id=self.client.id,
            use_cognito_provided_values=True,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[self.domain]),
        )
        self.keys = aws.ssm.Parameter(
            "sign-in-keys",
            name=args.names.sign_in_keys_parameter,
            description="public keys (JWKS) that the API checks access tokens with",
            type="String",
            value=NO_KEYS,
            # Whoever deploys puts them, since nothing in the VPC can fetch them; until then the API lets nobody in.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["value"]),
        )
        self.register_outputs({})

    @property
    def issuer(self) -> pulumi.Output[str]:
        """Who issues the tokens, as they name it."""
        return self.pool.endpoint.apply(lambda endpoint: f"https://{endpoint}")

    @property
    def keys_url(self) -> pulumi.Output[str]:
        """Where the pool publishes its keys."""
        return self.issuer.apply(lambda issuer: f"{issuer}/.well-known/jwks.json")

    @property
    def page_url(self) -> str:
        """Where people sign in."""
        return sign_in_page(self._args.names)

    def _declare_pool(self) -> aws.cognito.UserPool:
        args = self._args
        return aws.cognito.UserPool(
            "user-pool",
            name=args.names.user_pool,
            user_pool_tier="PLUS",
            # Refuses passwords that are known to be stolen, and sign-ins that look like somebody else.
            user_pool_add_ons=aws.cognito.UserPoolUserPoolAddOnsArgs(advanced_security_mode="ENFORCED"),
            mfa_configuration="ON",
            software_token_mfa_configuration=aws.cognito.UserPoolSoftwareTokenMfaConfigurationArgs(
                enabled=True
            ),
            admin_create_user_config=aws.cognito.UserPoolAdminCreateUserConfigArgs(
                allow_admin_create_user_only=True
            ),
            username_configuration=aws.cognito.UserPoolUsernameConfigurationArgs(case_sensitive=False),
            auto_verified_attributes=["email"],
            user_attribute_update_settings=aws.cognito.UserPoolUserAttributeUpdateSettingsArgs(
                attributes_require_verification_before_updates=["email"]
            ),
            # Whoever reads a mailbox must not get in by it alone.
            account_recovery_setting=aws.cognito.UserPoolAccountRecoverySettingArgs(
                recovery_mechanisms=[
                    aws.cognito.UserPoolAccountRecoverySettingRecoveryMechanismArgs(
                        name="admin_only", priority=1
                    )
                ]
            ),
            password_policy=aws.cognito.UserPoolPasswordPolicyArgs(
                minimum_length=PASSWORD_LENGTH,
                require_lowercase=True,
                require_uppercase=True,
                require_numbers=True,
                require_symbols=True,
                temporary_password_validity_days=1,
                password_history_size=24,
            ),
            deletion_protection="ACTIVE" if args.deletion_protection else "INACTIVE",
            opts=pulumi.ResourceOptions(parent=self, protect=args.deletion_protection),
        )

    def _declare_groups(self) -> None:
        groups: tuple[Group, ...] = get_args(Group)
        for precedence, group in enumerate(groups, start=1):
            aws.cognito.UserGroup(
                f"{group}-group",
                name=group,
                description=PEOPLE[group].description,
                precedence=precedence,
                user_pool_id=self.pool.id,
                opts=self._child,
            )

    def _record_sign_ins(self) -> None:
        log_group = aws.cloudwatch.LogGroup(
            "sign-in-logs",
            name=self._args.names.sign_in_log_group,
            retention_in_days=self._args.log_days,
            kms_key_id=self._args.logs_key_arn,
            opts=self._child,
        )
        destination = aws.cognito.LogDeliveryConfigurationLogConfigurationCloudWatchLogsConfigurationArgs(
            log_group_arn=log_group.arn
        )
        aws.cognito.LogDeliveryConfiguration(
            "sign-in-log-delivery",
            user_pool_id=self.pool.id,
            log_configurations=[
                aws.cognito.LogDeliveryConfigurationLogConfigurationArgs(
                    event_source=source, log_level=level, cloud_watch_logs_configuration=destination
                )
                for source, level in (("userAuthEvents", "INFO"), ("userNotification", "ERROR"))
            ],
            opts=self._child,
        )

    def _declare_providers(self) -> list[pulumi.Input[str]]:
        api = self._args.api
        details: dict[str, pulumi.Input[str]]
        if api.single_sign_on == "none":
            return ["COGNITO"]
        if api.single_sign_on == "saml":
            details = {"MetadataURL": api.saml_metadata_url, "IDPSignout": "true"}
            attributes = {"email": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"}
        else:
            details = {
                "client_id": api.oidc_client_id,
                # Cognito keeps it; Pulumi's state holds it encrypted.
                "client_secret": pulumi.Output.secret(api.oidc_client_secret),
                "oidc_issuer": api.oidc_issuer,
                "authorize_scopes": "openid email profile",
                "attributes_request_method": "GET",
            }
            attributes = {"email": "email", "username": "sub"}
        provider = aws.cognito.IdentityProvider(
            "single-sign-on",
            user_pool_id=self.pool.id,
            provider_name="hospital",
            provider_type=api.single_sign_on.upper(),
            provider_details=details,
            attribute_mapping=attributes,
            opts=self._child,
        )
        return ["COGNITO", provider.provider_name]

    def _declare_client(self, providers: list[pulumi.Input[str]]) -> aws.cognito.UserPoolClient:
        api = self._args.api
        pages = [f"https://{api.domain_name}", *api.cors_origins]
        return aws.cognito.UserPoolClient(
            "viewer-client",
            name=f"{self._args.names.prefix}-viewer",
            user_pool_id=self.pool.id,
            # A browser keeps no secret: PKCE binds the code to whoever asked for it (RFC 7636).
            generate_secret=False,
            allowed_oauth_flows_user_pool_client=True,
            allowed_oauth_flows=["code"],
            allowed_oauth_scopes=["openid", "email"],
            callback_urls=[f"{page}{SIGNED_IN_PATH}" for page in pages],
            logout_urls=[f"{page}/" for page in pages],
            supported_identity_providers=providers,
            # Passwords are typed at Cognito's page only.
            explicit_auth_flows=["ALLOW_REFRESH_TOKEN_AUTH"],
            prevent_user_existence_errors="ENABLED",
            enable_token_revocation=True,
            auth_session_validity=3,
            access_token_validity=ACCESS_MINUTES,
            id_token_validity=ACCESS_MINUTES,
            refresh_token_validity=REFRESH_HOURS,
            token_validity_units=VALIDITY_UNITS,
            read_attributes=["email", "email_verified"],
            write_attributes=["email"],
            opts=self._child,
        )


def sign_in_page(names: EstateNames) -> str:
    """Address of Cognito's sign-in page of a stack."""
    return f"https://{names.sign_in_domain}.auth.{names.region}.amazoncognito.com"
