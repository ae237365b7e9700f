"""Which account and site a stack is for, and who may take the roles of people."""

from rayline_infra.settings.section import Flag, Section, setting

PRINCIPAL = r"^arn:aws:(iam|sts)::(\d{12}|\*):.+$"


class SiteSettings(Section):
    """Account, region, site and people."""

    account_id: str = setting(
        "accountId",
        "The account that this stack may touch; the provider refuses any other.",
        "123456789012",
        pattern=r"^\d{12}$",
    )
    region: str = setting(
        "aws:region",
        "The region that this stack may touch; it must have HealthImaging.",
        "us-east-1",
        pattern=r"^[a-z]{2}(-[a-z]+)+-\d$",
    )
    name: str = setting(
        "site",
        "The hospital site whose events this stack handles; it is in every event, ledger item and metric.",
        "hospital-a",
        pattern=r"^[a-z0-9][a-z0-9-]{0,31}$",
    )
    site_profile: str = setting(
        "siteProfile",
        "The profile that lists the site's plugins: its path in the processor's image.",
        "config/site/hospital-a.yaml",
        pattern=r"^config/site/[A-Za-z0-9._-]+\.yaml$",
    )
    deletion_protection: Flag = setting(
        "deletionProtection",
        "Protects tables, buckets and load balancers from deletion; the data store is protected in every stack.",
        True,
        default=True,
    )
    operator_principal_pattern: str = setting(
        "operatorPrincipalPattern",
        "Who may take the operator role: principals of the account whose ARN matches.",
        "arn:aws:iam::123456789012:role/Operators",
        pattern=PRINCIPAL,
    )
    reviewer_principal_pattern: str = setting(
        "reviewerPrincipalPattern",
        "Who may take the reviewer role, which sees what was refused and why, and no patient.",
        "arn:aws:iam::123456789012:role/Reviewers",
        pattern=PRINCIPAL,
    )
    uploader_principal_pattern: str = setting(
        "uploaderPrincipalPattern",
        "Who may take the uploader role: modalities and gateways that send images.",
        "arn:aws:iam::123456789012:role/Modalities",
        pattern=PRINCIPAL,
    )
    deployer_principal_pattern: str = setting(
        "deployerPrincipalPattern",
        "Who deploys and validates, and may take the uploader role too: validation sends a made-up study with it.",
        "arn:aws:iam::123456789012:role/rayline-deploy*",
        pattern=PRINCIPAL,
    )
