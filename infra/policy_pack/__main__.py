"""`pulumi up --policy-pack infra/policy_pack` holds a stack against the controls that `rayline check` does."""

from pulumi_policy import EnforcementLevel, PolicyPack

from rayline_infra.policies.pack import stack_policies

PolicyPack("rayline-hipaa", policies=list(stack_policies()), enforcement_level=EnforcementLevel.MANDATORY)
