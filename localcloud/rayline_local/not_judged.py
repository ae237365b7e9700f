"""What `rayline validate --stack local` leaves out, each with the reason."""

from collections.abc import Mapping

from rayline_local.provisioner.adapters.not_emulated import NOT_EMULATED

NOT_JUDGED: Mapping[str, str] = {
    **NOT_EMULATED,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": (
        "MiniStack takes two rules that differ only in their prefix list for one"
    ),
    "aws:lb/targetGroup:TargetGroup": "on this machine tasks are processes, and no load balancer stands before them",
}
