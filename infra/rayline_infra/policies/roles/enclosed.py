"""What SageMaker needs of a role whose jobs or models run in the VPC."""

from rayline.names import EstateNames
from rayline_infra.policies.documents import Statement
from rayline_infra.policies.roles.pieces import ANY


def network_interfaces(names: EstateNames) -> tuple[Statement, ...]:
    """What SageMaker needs of a role whose jobs or models run in a VPC.

    Source: SageMaker developer guide, "SageMaker AI Roles", with VpcConfig.
    """
    interfaces = f"arn:aws:ec2:{names.region}:{names.account_id}:network-interface/*"
    return (
        Statement(
            sid="AttachToTheNetwork",
            actions=(
                "ec2:CreateNetworkInterface",
                "ec2:CreateNetworkInterfacePermission",
                "ec2:DeleteNetworkInterface",
                "ec2:DeleteNetworkInterfacePermission",
            ),
            resources=(
                interfaces,
                f"arn:aws:ec2:{names.region}:{names.account_id}:subnet/*",
                f"arn:aws:ec2:{names.region}:{names.account_id}:security-group/*",
            ),
        ),
        Statement(
            sid="SeeTheNetwork",
            actions=(
                "ec2:DescribeDhcpOptions",
                "ec2:DescribeNetworkInterfaces",
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
            ),
            # EC2 has no resource for what describes.
            resources=ANY,
        ),
    )
