"""Every role that is handed on exists, trusts who gets it, and may be passed by who hands it on."""

from collections.abc import Iterator, Mapping

from rayline_infra.policies.controls.control import Control, Observation, judged
from rayline_infra.policies.controls.retention import LOG_GROUP, TRAIL
from rayline_infra.policies.deliveries import TARGET
from rayline_infra.policies.graph import Graph
from rayline_infra.policies.holdings import BUCKET, REPOSITORY, key_of
from rayline_infra.policies.identities import Identity, at, handed_on, identities, identity_of
from rayline_infra.policies.task_containers import containers

# Actions that hand a role to a service, with the service (each service's page of the Service Authorization Reference).
PASSING: Mapping[str, str] = {
    "medical-imaging:StartDICOMImportJob": "medical-imaging.amazonaws.com",
    "sagemaker:CreateModel": "sagemaker.amazonaws.com",
    "sagemaker:CreateProcessingJob": "sagemaker.amazonaws.com",
    "sagemaker:CreateTrainingJob": "sagemaker.amazonaws.com",
    "ecs:RunTask": "ecs-tasks.amazonaws.com",
    "ecs:RegisterTaskDefinition": "ecs-tasks.amazonaws.com",
    "scheduler:CreateSchedule": "scheduler.amazonaws.com",
}
PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
WRITE_LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")


def roles_may_be_passed(graph: Graph) -> Iterator[Observation]:
    """Whoever starts something under a role may pass that role to the service, and to no other."""
    everyone = identities(graph)
    for identity in everyone:
        for action, service in PASSING.items():
            if any(clause.allows and clause.has_action(action) for clause in identity.clauses):
                passed = [each.role.name for each in everyone if _trusts(each, service)
                          and identity.may("iam:PassRole", each.arn, **{"iam:passedtoservice": service})]  # fmt: skip
                setting = f"{action}: may pass {', '.join(passed) or 'no role'} to {service}"
                yield judged(identity.role, bool(passed), setting)
        for clause in identity.clauses:
            if clause.allows and clause.has_action("iam:PassRole"):
                services = clause.values_of("iam:PassedToService")
                loose = not services or any(identity_of(graph, arn) is None for arn in clause.resources)
                setting = (
                    f"{clause.sid}: passes {', '.join(clause.resources)} to {', '.join(services) or 'anyone'}"
                )
                yield judged(identity.role, not loose, setting)


def _trusts(identity: Identity, service: str) -> bool:
    return any(clause.allows and ("Service", service) in clause.principals for clause in identity.trust)


def handed_on_roles_trust(graph: Graph) -> Iterator[Observation]:
    """Each role that a resource names is one of the graph's, and lets the service assume it."""
    for handed in handed_on(graph):
        identity = identity_of(graph, handed.role_arn)
        trusted = identity is not None and _trusts(identity, handed.service)
        name = identity.role.name if identity else handed.role_arn
        verdict = "trusts" if trusted else "does not trust"
        yield judged(handed.by, trusted, f"{name} {verdict} {handed.service}")


def passed_roles_trust(graph: Graph) -> Iterator[Observation]:
    """Each role that somebody may pass to a service lets that service assume it: else the start would fail."""
    for identity in identities(graph):
        for clause in identity.clauses:
            if not (clause.allows and clause.has_action("iam:PassRole")):
                continue
            for arn in clause.resources:
                passed = identity_of(graph, arn)
                for service in clause.values_of("iam:PassedToService"):
                    trusted = passed is not None and _trusts(passed, service)
                    name = passed.role.name if passed else arn
                    verdict = "trusts" if trusted else "does not trust"
                    yield judged(identity.role, trusted, f"{clause.sid}: {name} {verdict} {service}")


def tasks_can_start(graph: Graph) -> Iterator[Observation]:
    """The execution role of each task may pull its image, read its secrets and open its log stream."""
    groups = {str(each.inputs["name"]): str(each.outputs["arn"]) for each in graph.of_type(LOG_GROUP)}
    repositories = {
        str(each.outputs["repositoryUrl"]): str(each.outputs["arn"]) for each in graph.of_type(REPOSITORY)
    }
    for task, container in containers(graph):
        identity = identity_of(graph, str(task.inputs.get("executionRoleArn")))
        needed = [_read(str(each["valueFrom"])) for each in container.get("secrets") or ()]
        if (group := groups.get(str(at(container, "logConfiguration.options.awslogs-group")))) is not None:
            needed += [(action, f"{group}:log-stream:*") for action in WRITE_LOGS]
        repository = repositories.get(str(container["image"]).rpartition(":")[0])
        if repository is not None:
            needed += [(action, repository) for action in PULL] + [("ecr:GetAuthorizationToken", "*")]
        refused = [
            f"{action} on {arn}"
            for action, arn in needed
            if identity is None or not identity.may(action, arn)
        ]
        setting = (
            "; ".join(refused) or f"the execution role may do all {len(needed)} things that starting takes"
        )
        yield judged(task, not refused, f"{container['name']}: {setting}")


def _read(reference: str) -> tuple[str, str]:
    """What ECS does to inject a secret, and to which ARN."""
    if reference.split(":")[2] == "ssm":
        return "ssm:GetParameters", reference
    # arn:aws:secretsmanager:region:account:secret:name[:json-key:stage:version]
    return "secretsmanager:GetSecretValue", ":".join(reference.split(":")[:7])


def targets_may_be_called(graph: Graph) -> Iterator[Observation]:
    """A target that is neither a queue nor a topic comes with the role that may call it."""
    for target in graph.of_type(TARGET):
        arn = str(target.inputs["arn"])
        if arn.split(":")[2] in ("sqs", "sns", "logs"):
            continue
        identity = identity_of(graph, str(target.inputs.get("roleArn")))
        allowed = identity is not None and any(
            clause.allows and clause.has_resource(arn) for clause in identity.clauses
        )
        yield judged(
            target, allowed, f"{arn} is called under {identity.role.name if identity else 'no role'}"
        )


def log_writers_may_write(graph: Graph) -> Iterator[Observation]:
    """Trails and flow logs that write to a log group do so under a role that may."""
    for type_token, group_path, role_path, stream in (
        # CloudTrail user guide, "Role policy document for CloudTrail to use CloudWatch Logs"
        (TRAIL, "cloudWatchLogsGroupArn", "cloudWatchLogsRoleArn", "{account}_CloudTrail_{region}"),
        ("aws:ec2/flowLog:FlowLog", "logDestination", "iamRoleArn", "*"),
    ):
        for resource in graph.of_type(type_token):
            group = str(resource.inputs.get(group_path) or "").removesuffix(":*")
            if not group.startswith("arn:aws:logs:"):
                continue
            identity = identity_of(graph, str(resource.inputs.get(role_path)))
            region, account = group.split(":")[3:5]
            written = f"{group}:log-stream:{stream.format(account=account, region=region)}"
            refused = [
                action for action in WRITE_LOGS if identity is None or not identity.may(action, written)
            ]
            yield judged(
                resource, not refused, f"may not {', '.join(refused)}" if refused else "may write its logs"
            )


def copies_can_be_made(graph: Graph) -> Iterator[Observation]:
    """Replication may read the source, write the replica, and use the keys of both."""
    arns = {str(each.outputs["arn"]): each for each in graph.of_type(BUCKET)}
    by_name = {str(each.inputs["bucket"]): each for each in arns.values()}
    for replication in graph.of_type("aws:s3/bucketReplicationConfig:BucketReplicationConfig"):
        identity = identity_of(graph, str(replication.inputs["role"]))
        source = by_name[str(replication.inputs["bucket"])]
        needed = [
            ("s3:GetReplicationConfiguration", str(source.outputs["arn"])),
            ("s3:ListBucket", str(source.outputs["arn"])),
            ("kms:Decrypt", key_of(graph, source)),
        ]
        for rule in replication.inputs["rules"]:
            destination = str(at(rule, "destination.bucket"))
            prefix = at(rule, "filter.prefix") or ""
            needed.append(("s3:GetObjectVersionForReplication", f"{source.outputs['arn']}/{prefix}*"))
            needed.append(("s3:ReplicateObject", f"{destination}/{prefix}*"))
            if (copy := arns.get(destination)) is not None:
                needed.append(("kms:Encrypt", key_of(graph, copy)))
        refused = [f"{action} on {arn}" for action, arn in needed
                   if identity is None or not identity.may(action, arn, **_through_s3(action, arn))]  # fmt: skip
        yield judged(replication, not refused, "; ".join(refused) or "may read, write, decrypt and encrypt")


def _through_s3(action: str, arn: str) -> Mapping[str, str]:
    if not action.startswith("kms:") or arn.count(":") < 4:
        return {}
    return {"kms:viaservice": f"s3.{arn.split(':')[3]}.amazonaws.com"}


CONTROLS = (
    Control(
        "WIR-4",
        "Whoever starts work under a role may pass it, to that service only",
        ("164.308(a)(4)(ii)(B)", "164.312(a)(1)"),
        "high",
        "iam:PassRole in policies of roles",
        roles_may_be_passed,
    ),
    Control(
        "WIR-5",
        "Roles that are handed on trust who gets them",
        ("164.308(a)(4)(ii)(B)",),
        "high",
        "roles named by tasks, pipelines, logs, trails, recorders, replication and targets",
        handed_on_roles_trust,
    ),
    Control(
        "WIR-6",
        "Roles that are passed trust who gets them",
        ("164.308(a)(4)(ii)(B)",),
        "high",
        "roles named by iam:PassRole",
        passed_roles_trust,
    ),
    Control(
        "WIR-7",
        "Tasks can start",
        ("164.308(a)(7)(ii)(C)", "164.312(a)(1)"),
        "high",
        "execution roles: images, secrets, log streams",
        tasks_can_start,
    ),
    Control(
        "WIR-8",
        "Targets may be called",
        ("164.308(a)(4)(ii)(B)",),
        "high",
        "event targets that take a role",
        targets_may_be_called,
    ),
    Control(
        "WIR-9",
        "Those who write logs may",
        ("164.312(b)",),
        "high",
        "trails and flow logs that write to log groups",
        log_writers_may_write,
    ),
    Control(
        "WIR-10",
        "Copies can be made",
        ("164.308(a)(7)(ii)(A)", "164.308(a)(7)(ii)(B)"),
        "high",
        "replication of buckets",
        copies_can_be_made,
    ),
)
