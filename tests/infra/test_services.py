"""What runs in containers: hardened, private, scaled, rolled back, and behind one public door."""

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rayline.dimse.settings import DimseSettings
from rayline.http_api.access import Permission
from rayline.http_api.access_file import read_access
from rayline_infra.components.tasks import environment_of
from rayline_infra.planning import plan
from rayline_infra.policies.graph import Graph, Resource
from rayline_infra.policies.identities import identity_of

SERVICE = "aws:ecs/service:Service"
TASK = "aws:ecs/taskDefinition:TaskDefinition"
BALANCER = "aws:lb/loadBalancer:LoadBalancer"
LISTENER = "aws:lb/listener:Listener"
RULE = "aws:lb/listenerRule:ListenerRule"
TARGETS = "aws:lb/targetGroup:TargetGroup"
SCALING = "aws:appautoscaling/policy:Policy"
WEB_ACL = "aws:wafv2/webAcl:WebAcl"
DISTRIBUTION = "aws:cloudfront/distribution:Distribution"
INGRESS = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
KINDS = ("processor", "api", "gateway")
# Two stacks that are not written down, each with several of the choices that a site has.
OPEN = {
    "rayline:natGateways": "1",
    "rayline:corsOrigins": '["https://viewer.hospital-a.org"]',
    "rayline:singleSignOn": "saml",
    "rayline:samlMetadataUrl": "https://login.hospital-a.org/metadata.xml",
    "rayline:dimseTls": "true",
}
ELSEWHERE = {
    "aws:region": "us-west-2",
    "rayline:availabilityZones": '["us-west-2a", "us-west-2b"]',
    "rayline:replicaRegion": "us-east-1",
    "rayline:singleSignOn": "oidc",
    "rayline:oidcIssuer": "https://login.hospital-a.org",
    "rayline:oidcClientId": "rayline",
    "rayline:oidcClientSecret": "a-client-secret-of-the-hospital",
}


@pytest.fixture(scope="module")
def open_stack() -> Graph:
    """A stack with NAT, another origin and SAML."""
    return plan("dev", overrides=OPEN)


@pytest.fixture(scope="module")
def stack_elsewhere() -> Graph:
    """A stack outside CloudFront's region, with OpenID Connect."""
    return plan("dev", overrides=ELSEWHERE)


def containers(graph: Graph) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """Every container with its task definition."""
    for task in graph.of_type(TASK):
        for container in json.loads(task.inputs["containerDefinitions"]):
            yield task, container


def work(graph: Graph, kind: str) -> dict[str, Any]:
    """The container that does the work of a service."""
    (found,) = [
        each for task, each in containers(graph) if task.name == f"{kind}-task" and each["name"] == kind
    ]
    return found


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["environment"]}


# --- containers


def test_every_container_is_hardened(graph: Graph) -> None:
    found = list(containers(graph))
    assert {container["name"] for _, container in found} >= set(KINDS)
    for task, container in found:
        where = f"{task.name}/{container['name']}"
        assert container["user"] == "10001:10001", where
        assert container["privileged"] is False, where
        assert container["readonlyRootFilesystem"] is True, where
        assert container["linuxParameters"] == {
            "initProcessEnabled": True,
            "capabilities": {"drop": ["ALL"]},
        }, where
        assert container["logConfiguration"]["logDriver"] == "awslogs", where


def test_logs_go_to_a_group_of_the_graph_that_is_encrypted_and_ends(graph: Graph) -> None:
    groups = {each.inputs["name"]: each for each in graph.of_type("aws:cloudwatch/logGroup:LogGroup")}
    for _, container in containers(graph):
        group = groups[container["logConfiguration"]["options"]["awslogs-group"]]
        assert group.inputs["kmsKeyId"].startswith("arn:aws:kms:")
        assert group.inputs["retentionInDays"] > 0


def test_every_image_comes_from_a_repository_of_the_stack(graph: Graph) -> None:
    # Tasks have no way to any other registry.
    urls = {each.outputs["repositoryUrl"] for each in graph.of_type("aws:ecr/repository:Repository")}
    assert len(urls) == 5
    for _, container in containers(graph):
        assert container["image"].rpartition(":")[0] in urls


def test_tags_never_move_and_images_are_scanned_and_encrypted_with_our_key(graph: Graph) -> None:
    keys = {each.outputs["arn"] for each in graph.of_type("aws:kms/key:Key")}
    repositories = graph.of_type("aws:ecr/repository:Repository")
    for repository in repositories:
        assert repository.inputs["imageTagMutability"] == "IMMUTABLE"
        assert repository.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        (encryption,) = repository.inputs["encryptionConfigurations"]
        assert encryption["encryptionType"] == "KMS"
        assert encryption["kmsKey"] in keys
    for type_token in (
        "aws:ecr/lifecyclePolicy:LifecyclePolicy",
        "aws:ecr/repositoryPolicy:RepositoryPolicy",
    ):
        assert {each.inputs["repository"] for each in graph.of_type(type_token)} == {
            each.inputs["name"] for each in repositories
        }


def test_untagged_images_go_after_a_week_and_thirty_others_stay(graph: Graph) -> None:
    for policy in graph.of_type("aws:ecr/lifecyclePolicy:LifecyclePolicy"):
        untagged, others = sorted(
            json.loads(policy.inputs["policy"])["rules"], key=lambda rule: rule["rulePriority"]
        )
        assert untagged["selection"] == {
            "tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7,
        }  # fmt: skip
        assert others["selection"] == {
            "tagStatus": "any",
            "countType": "imageCountMoreThan",
            "countNumber": 30,
        }


def test_the_collector_never_stops_the_work_and_takes_traces_of_its_task_only(
    graph_of: Callable[[str], Graph],
) -> None:
    collectors = [each for _, each in containers(graph_of("prod")) if each["name"] == "collector"]
    assert len(collectors) == 3
    for collector in collectors:
        assert collector["essential"] is False
        assert collector["memory"] == 256
        assert "portMappings" not in collector
        config = environment(collector)["AOT_CONFIG_CONTENT"]
        assert "127.0.0.1:4318" in config
        assert "0.0.0.0" not in config
    for kind in KINDS:
        told = environment(work(graph_of("prod"), kind))
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:4318"


def test_a_stack_without_a_collector_runs_its_work_alone(graph_of: Callable[[str], Graph]) -> None:
    assert {each["name"] for _, each in containers(graph_of("local"))} == set(KINDS)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" not in environment(work(graph_of("local"), "processor"))


def test_whoever_sends_traces_may(graph_of: Callable[[str], Graph]) -> None:
    for kind in KINDS:
        task = graph_of("prod").named(TASK, f"{kind}-task")
        identity = identity_of(graph_of("prod"), task.inputs["taskRoleArn"])
        assert identity is not None
        assert identity.may("xray:PutTraceSegments", "*")


def test_the_execution_role_may_start_every_task(graph: Graph) -> None:
    parameters = {each.outputs["arn"] for each in graph.of_type("aws:ssm/parameter:Parameter")}
    for task, container in containers(graph):
        identity = identity_of(graph, task.inputs["executionRoleArn"])
        assert identity is not None
        repository = container["image"].rpartition(":")[0].rpartition("/")[2]
        account = task.inputs["executionRoleArn"].split(":")[4]
        assert identity.may("ecr:BatchGetImage", f"arn:aws:ecr:us-east-1:{account}:repository/{repository}")
        group = container["logConfiguration"]["options"]["awslogs-group"]
        assert identity.may(
            "logs:PutLogEvents", f"arn:aws:logs:us-east-1:{account}:log-group:{group}:log-stream:x"
        )
        for secret in container.get("secrets", []):
            read = (
                "ssm:GetParameters" if secret["valueFrom"] in parameters else "secretsmanager:GetSecretValue"
            )
            assert identity.may(read, secret["valueFrom"]), secret["name"]


def test_an_incomplete_environment_is_refused() -> None:
    with pytest.raises(ValueError, match="no value for the processor's settings"):
        environment_of({"site": "a"})


def test_what_tasks_spool_is_encrypted_with_the_key_of_the_identified_zone(graph: Graph) -> None:
    (cluster,) = graph.of_type("aws:ecs/cluster:Cluster")
    key = graph.named("aws:kms/key:Key", "identified-key")
    storage = cluster.inputs["configuration"]["managedStorageConfiguration"]
    assert storage == {"fargateEphemeralStorageKmsKeyId": key.outputs["arn"]}
    # Both statements of the ECS developer guide, "Customer managed keys for Fargate ephemeral storage".
    granted = {
        action: statement["Condition"]
        for statement in json.loads(key.inputs["policy"])["Statement"]
        if statement["Principal"] == {"Service": ["fargate.amazonaws.com"]}
        for action in statement["Action"]
    }
    assert set(granted) == {"kms:CreateGrant", "kms:GenerateDataKeyWithoutPlaintext"}
    for condition in granted.values():
        context = condition["StringEquals"]
        assert context["kms:EncryptionContext:aws:ecs:clusterName"] == cluster.inputs["name"]
    assert granted["kms:CreateGrant"]["ForAllValues:StringEquals"] == {"kms:GrantOperations": ["Decrypt"]}


# --- services


def test_every_service_is_private_checked_and_rolled_back(graph: Graph) -> None:
    services = {each.name.removesuffix("-service"): each for each in graph.of_type(SERVICE)}
    assert set(services) == set(KINDS)
    private = {each.id for each in graph.of_type("aws:ec2/subnet:Subnet") if each.name.startswith("private-")}
    for kind, service in services.items():
        inputs = service.inputs
        assert inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
        assert (inputs["deploymentMinimumHealthyPercent"], inputs["deploymentMaximumPercent"]) == (100, 200)
        assert inputs["enableExecuteCommand"] is False
        assert inputs["propagateTags"] == "SERVICE"
        network = inputs["networkConfiguration"]
        assert network["assignPublicIp"] is False
        assert set(network["subnets"]) == private
        group = graph.named("aws:ec2/securityGroup:SecurityGroup", f"{kind}-security-group")
        assert network["securityGroups"] == [group.id]
        if graph.stack != "local":  # whose processor runs without a health port, beside others
            assert work(graph, kind)["healthCheck"]["command"][0] == "CMD"


@pytest.mark.parametrize("kind", KINDS)
def test_a_stack_starts_as_many_tasks_as_its_settings_say(graph: Graph, kind: str) -> None:
    least = {
        "local": {"processor": 1, "api": 1, "gateway": 1},
        "dev": {"processor": 1, "api": 1, "gateway": 1},
        "prod": {"processor": 2, "api": 2, "gateway": 2},
    }
    assert graph.named(SERVICE, f"{kind}-service").inputs["desiredCount"] == least[graph.stack][kind]


def test_only_tasks_above_the_least_number_run_on_spot(graph_of: Callable[[str], Graph]) -> None:
    def strategies(stack: str, kind: str) -> list[dict[str, Any]]:
        return list(graph_of(stack).named(SERVICE, f"{kind}-service").inputs["capacityProviderStrategies"])

    assert strategies("dev", "processor") == [
        {"capacityProvider": "FARGATE", "base": 1, "weight": 0},
        {"capacityProvider": "FARGATE_SPOT", "weight": 1},
    ]
    assert strategies("prod", "processor") == [{"capacityProvider": "FARGATE", "weight": 1}]
    for stack in ("local", "dev", "prod"):
        # People wait for these.
        assert (
            strategies(stack, "api")
            == strategies(stack, "gateway")
            == [{"capacityProvider": "FARGATE", "weight": 1}]
        )


def test_the_revision_that_a_failed_deployment_goes_back_to_is_still_there(graph: Graph) -> None:
    # ECS API, DeregisterTaskDefinition: no service can be updated to refer to an INACTIVE task definition.
    for kind in KINDS:
        assert graph.named(SERVICE, f"{kind}-service").inputs["deploymentCircuitBreaker"]["rollback"] is True
        assert graph.named(TASK, f"{kind}-task").inputs["skipDestroy"] is True


def test_spot_can_be_switched_on_and_off_in_a_running_stack(graph: Graph) -> None:
    # Provider's documentation of aws.ecs.Service: "Updating this argument requires `force_new_deployment = true`."
    for kind in KINDS:
        assert graph.named(SERVICE, f"{kind}-service").inputs["forceNewDeployment"] is True


def desired(policy: Resource, *, waiting: float, tasks: float) -> int:
    """The tasks that target tracking asks for: as many as bring the metric to its target (Application Auto Scaling)."""
    configuration = policy.inputs["targetTrackingScalingPolicyConfiguration"]
    metrics = {each["id"]: each for each in configuration["customizedMetricSpecification"]["metrics"]}
    expression = metrics["backlog"]["expression"]
    # CloudWatch's IF on single values.
    names = {"IF": lambda c, a, b: a if c else b, "waiting": waiting, "tasks": tasks}
    backlog = eval(expression, names)
    return math.ceil(max(tasks, 1) * backlog / configuration["targetValue"])


def test_the_processor_grows_with_its_backlog(graph_of: Callable[[str], Graph]) -> None:
    policy = graph_of("prod").named(SCALING, "processor-backlog")
    assert desired(policy, waiting=2000, tasks=2) == 10
    assert desired(policy, waiting=300, tasks=2) == 2
    assert desired(policy, waiting=0, tasks=4) == 0
    # With no task running there is still somebody to count for.
    assert desired(policy, waiting=400, tasks=0) == 2


def test_a_number_that_comes_late_is_not_made_up(graph_of: Callable[[str], Graph]) -> None:
    # Target tracking's alarm wants each of three minutes above the target; the newest would always be a filled zero.
    configuration = (
        graph_of("prod")
        .named(SCALING, "processor-backlog")
        .inputs["targetTrackingScalingPolicyConfiguration"]
    )
    metrics = configuration["customizedMetricSpecification"]["metrics"]
    assert [each["id"] for each in metrics if "FILL" in each.get("expression", "")] == []


def test_the_backlog_is_that_of_the_stacks_queue_and_service(graph: Graph) -> None:
    configuration = graph.named(SCALING, "processor-backlog").inputs[
        "targetTrackingScalingPolicyConfiguration"
    ]
    metrics = {each["id"]: each for each in configuration["customizedMetricSpecification"]["metrics"]}
    waiting, tasks = metrics["waiting"]["metricStat"]["metric"], metrics["tasks"]["metricStat"]["metric"]
    queues = {each.inputs["name"] for each in graph.of_type("aws:sqs/queue:Queue")}
    assert (waiting["namespace"], waiting["metricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    assert {each["value"] for each in waiting["dimensions"]} <= queues
    assert (tasks["namespace"], tasks["metricName"]) == ("ECS/ContainerInsights", "RunningTaskCount")
    service = graph.named(SERVICE, "processor-service")
    assert {each["name"]: each["value"] for each in tasks["dimensions"]} == {
        "ClusterName": service.inputs["cluster"].rpartition("/")[2],
        "ServiceName": service.inputs["name"],
    }
    (cluster,) = graph.of_type("aws:ecs/cluster:Cluster")
    # Which is where RunningTaskCount comes from.
    assert {"name": "containerInsights", "value": "enabled"} in cluster.inputs["settings"]
    assert [each["returnData"] for each in metrics.values()].count(True) == 1


def test_scaling_keeps_to_the_bounds_of_the_settings(graph_of: Callable[[str], Graph]) -> None:
    bounds = {
        (stack, target.name): (target.inputs["minCapacity"], target.inputs["maxCapacity"])
        for stack in ("dev", "prod")
        for target in graph_of(stack).of_type("aws:appautoscaling/target:Target")
        if target.inputs["serviceNamespace"] == "ecs"
    }
    assert bounds == {
        ("dev", "processor-tasks"): (1, 2),
        ("dev", "api-tasks"): (1, 2),
        ("prod", "processor-tasks"): (2, 10),
        ("prod", "api-tasks"): (2, 10),
    }


def test_development_is_smaller_than_production(graph_of: Callable[[str], Graph]) -> None:
    def sizes(stack: str) -> dict[str, tuple[int, int]]:
        return {
            task.name: (int(task.inputs["cpu"]), int(task.inputs["memory"]))
            for task in graph_of(stack).of_type(TASK)
        }

    dev, prod = sizes("dev"), sizes("prod")
    assert dev == {
        "processor-task": (1024, 4096),
        "api-task": (512, 1024),
        "gateway-task": (512, 1024),
    }
    assert prod == {
        "processor-task": (4096, 16384),
        "api-task": (1024, 2048),
        "gateway-task": (1024, 2048),
    }


def test_every_role_that_a_task_is_handed_is_there_for_tasks_of_this_account_only(graph: Graph) -> None:
    tasks = graph.of_type(TASK)
    # A role of its own for each service, and one of ECS's that starts them all.
    assert len({task.inputs["taskRoleArn"] for task in tasks}) == len(tasks) == 3
    assert len({task.inputs["executionRoleArn"] for task in tasks}) == 1
    for task in tasks:
        for handed_on in ("taskRoleArn", "executionRoleArn"):
            identity = identity_of(graph, task.inputs[handed_on])
            assert identity is not None
            (trust,) = identity.trust
            assert trust.principals == (("Service", "ecs-tasks.amazonaws.com"),)
            assert trust.values_of("aws:SourceAccount") == (graph.outputs["account_id"],)


# --- the way in


def test_nothing_faces_the_internet_but_cloudfront(graph: Graph) -> None:
    balancers = graph.of_type(BALANCER)
    assert {each.inputs["loadBalancerType"] for each in balancers} == {"application", "network"}
    for balancer in balancers:
        assert balancer.inputs["internal"] is True
        assert balancer.inputs["enableDeletionProtection"] is (graph.stack == "prod")
    for rule in graph.of_type(INGRESS):
        assert rule.inputs.get("cidrIpv4") != "0.0.0.0/0", rule.name
    assert len(graph.of_type(DISTRIBUTION)) == 1


@pytest.mark.parametrize(
    ("kind", "balancer", "port"), [("api", "load-balancer", 8443), ("gateway", "gateway-balancer", 11112)]
)
def test_a_services_security_group_takes_its_port_from_its_load_balancer_only(
    graph: Graph, kind: str, balancer: str, port: int
) -> None:
    group = graph.named("aws:ec2/securityGroup:SecurityGroup", f"{kind}-security-group").id
    source = graph.named("aws:ec2/securityGroup:SecurityGroup", f"{balancer}-security-group").id
    rules = [each.inputs for each in graph.of_type(INGRESS) if each.inputs["securityGroupId"] == group]
    assert [(each["fromPort"], each["toPort"], each["referencedSecurityGroupId"]) for each in rules] == [
        (port, port, source)
    ]
    (mapping,) = work(graph, kind)["portMappings"]
    assert mapping["containerPort"] == port
    (behind,) = graph.named(SERVICE, f"{kind}-service").inputs["loadBalancers"]
    targets = graph.named(TARGETS, f"{kind}-targets")
    assert (behind["containerName"], behind["containerPort"], behind["targetGroupArn"]) == (
        kind,
        port,
        targets.id,
    )
    assert targets.inputs["port"] == port
    assert targets.inputs["healthCheck"]["enabled"] is True


def test_nobody_connects_to_the_processor(graph: Graph) -> None:
    group = graph.named("aws:ec2/securityGroup:SecurityGroup", "processor-security-group").id
    assert [each.name for each in graph.of_type(INGRESS) if each.inputs["securityGroupId"] == group] == []
    assert "portMappings" not in work(graph, "processor")


def test_the_apis_listener_speaks_tls_and_forwards_nothing_but_the_api(graph: Graph) -> None:
    listener = graph.named(LISTENER, "api-listener")
    assert (listener.inputs["protocol"], listener.inputs["port"]) == ("HTTPS", 443)
    assert listener.inputs["sslPolicy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    (default,) = listener.inputs["defaultActions"]
    assert (default["type"], default["fixedResponse"]["statusCode"]) == ("fixed-response", "404")
    (rule,) = [each for each in graph.of_type(RULE) if each.inputs["listenerArn"] == listener.id]
    assert rule.inputs["conditions"] == [{"pathPattern": {"values": ["/api/*"]}}]
    (forward,) = rule.inputs["actions"]
    assert (forward["type"], forward["targetGroupArn"]) == ("forward", graph.named(TARGETS, "api-targets").id)
    balancer = graph.named(BALANCER, "api-balancer").inputs
    assert balancer["dropInvalidHeaderFields"] is True
    assert balancer["accessLogs"]["enabled"] is True
    assert balancer["accessLogs"]["bucket"].startswith(f"rayline-{graph.stack}-access-logs-")
    assert graph.named(TARGETS, "api-targets").inputs["protocol"] == "HTTPS"


def test_a_load_balancer_that_reaches_the_user_pool_refuses_wrong_tokens_itself(open_stack: Graph) -> None:
    graph = open_stack
    checked, forward = graph.named(RULE, "api-rule").inputs["actions"]
    pool = graph.named("aws:cognito/userPool:UserPool", "user-pool")
    assert (checked["type"], forward["type"]) == ("jwt-validation", "forward")
    assert checked["order"] < forward["order"]
    assert checked["jwtValidation"]["issuer"] == f"https://{pool.outputs['endpoint']}"
    assert checked["jwtValidation"]["jwksEndpoint"].endswith("/.well-known/jwks.json")
    claims = {each["name"]: each["values"] for each in checked["jwtValidation"]["additionalClaims"]}
    assert claims["token_use"] == ["access"]


def test_other_origins_may_ask_before_they_call(open_stack: Graph) -> None:
    graph = open_stack
    rule = graph.named(RULE, "api-preflight-rule").inputs
    assert {"httpRequestMethod": {"values": ["OPTIONS"]}} in rule["conditions"]
    assert rule["priority"] < graph.named(RULE, "api-rule").inputs["priority"]
    headers = graph.named("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy", "viewer-api-headers")
    cors = headers.inputs["corsConfig"]
    assert cors["accessControlAllowOrigins"] == {"items": ["https://viewer.hospital-a.org"]}
    assert cors["accessControlAllowCredentials"] is False
    access = read_access(environment(work(graph, "api"))["RAYLINE_API_ACCESS_DOCUMENT"], "it")
    assert access.origins == {"https://viewer.hospital-a.org"}


def test_the_dimse_gateway_passes_tcp_through_and_sees_who_connects(graph: Graph) -> None:
    listener = graph.named(LISTENER, "gateway-listener").inputs
    assert (listener["protocol"], listener["port"]) == ("TCP", 11112)
    assert "certificateArn" not in listener
    targets = graph.named(TARGETS, "gateway-targets").inputs
    assert (targets["protocol"], targets["preserveClientIp"]) == ("TCP", "true")
    assert graph.named(BALANCER, "gateway-balancer").inputs["enableCrossZoneLoadBalancing"] is True


def test_the_gateway_understands_what_it_is_told(
    graph_of: Callable[[str], Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(work(graph_of("prod"), "gateway")).items():
        monkeypatch.setenv(name, value)
    settings = DimseSettings()
    assert (settings.ae_title, settings.port) == ("RAYLINE", 11112)
    assert settings.calling_ae_titles == ("CT1", "CR1")
    assert settings.peer_networks == ("10.0.0.0/16",)


def test_a_gateway_with_tls_gets_its_certificate_and_nobody_else_does(
    open_stack: Graph, graph: Graph
) -> None:
    secrets = {each["name"]: each["valueFrom"] for each in work(open_stack, "gateway")["secrets"]}
    declared = {
        each.inputs["name"].rpartition("/")[2]: each.outputs["arn"]
        for each in open_stack.of_type("aws:secretsmanager/secret:Secret")
    }
    assert secrets == {
        "RAYLINE_SECRET_DIMSE_CERTIFICATE": declared["dimse-certificate"],
        "RAYLINE_SECRET_DIMSE_CLIENT_CA": declared["dimse-client-ca"],
    }
    assert not set(secrets) & {each["name"] for each in work(open_stack, "processor")["secrets"]}
    assert work(graph, "gateway")["secrets"] == []


# --- who people are


def test_people_sign_in_with_two_factors_and_nobody_makes_himself_a_user(graph: Graph) -> None:
    pool = graph.named("aws:cognito/userPool:UserPool", "user-pool").inputs
    assert pool["mfaConfiguration"] == "ON"
    assert pool["softwareTokenMfaConfiguration"] == {"enabled": True}
    assert "smsConfiguration" not in pool
    assert pool["adminCreateUserConfig"]["allowAdminCreateUserOnly"] is True
    assert pool["passwordPolicy"]["minimumLength"] >= 14
    assert pool["userPoolAddOns"]["advancedSecurityMode"] == "ENFORCED"
    assert pool["deletionProtection"] == ("ACTIVE" if graph.stack == "prod" else "INACTIVE")
    groups = {each.inputs["name"] for each in graph.of_type("aws:cognito/userGroup:UserGroup")}
    assert groups == {"radiologist", "reviewer", "operator", "administrator"}


def test_the_viewer_gets_short_tokens_by_the_code_flow_only(graph: Graph) -> None:
    (client,) = graph.of_type("aws:cognito/userPoolClient:UserPoolClient")
    assert client.inputs["allowedOauthFlows"] == ["code"]
    assert client.inputs["explicitAuthFlows"] == ["ALLOW_REFRESH_TOKEN_AUTH"]
    assert client.inputs["tokenValidityUnits"]["accessToken"] == "minutes"
    assert client.inputs["accessTokenValidity"] <= 15
    assert all(each.startswith("https://") for each in client.inputs["callbackUrls"])


def test_the_api_believes_the_stacks_own_user_pool_and_its_groups(graph: Graph) -> None:
    container = work(graph, "api")
    access = read_access(environment(container)["RAYLINE_API_ACCESS_DOCUMENT"], "it")
    pool = graph.named("aws:cognito/userPool:UserPool", "user-pool")
    (client,) = graph.of_type("aws:cognito/userPoolClient:UserPoolClient")
    assert access.user_pool is not None
    assert access.user_pool.issuer == f"https://cognito-idp.us-east-1.amazonaws.com/{pool.id}"
    assert access.user_pool.client == client.id
    assert access.user_pool.groups["reviewer"] == {Permission.QUARANTINE_READ}
    assert access.user_pool.groups["administrator"] == set(Permission)
    assert not access.tokens
    (keys,) = [each for each in container["secrets"] if each["name"] == "RAYLINE_API_SIGN_IN_KEYS"]
    assert keys["valueFrom"] == graph.named("aws:ssm/parameter:Parameter", "sign-in-keys").outputs["arn"]
    assert not any(each["name"].startswith("RAYLINE_SECRET") for each in container["secrets"])


def test_the_hospitals_identity_provider_vouches_for_people_too(
    open_stack: Graph, stack_elsewhere: Graph
) -> None:
    for graph, provider in ((open_stack, "SAML"), (stack_elsewhere, "OIDC")):
        (found,) = graph.of_type("aws:cognito/identityProvider:IdentityProvider")
        assert found.inputs["providerType"] == provider
        (client,) = graph.of_type("aws:cognito/userPoolClient:UserPoolClient")
        assert client.inputs["supportedIdentityProviders"] == ["COGNITO", "hospital"]
    assert ELSEWHERE["rayline:oidcClientSecret"] not in json.dumps(stack_elsewhere.to_json())


# --- firewall and delivery


def test_a_firewall_stands_before_every_way_in(graph: Graph) -> None:
    acls = {each.name: each for each in graph.of_type(WEB_ACL)}
    assert {name: each.inputs["scope"] for name, each in acls.items()} == {
        "api-web-acl": "REGIONAL", "sign-in-web-acl": "REGIONAL", "viewer-web-acl": "CLOUDFRONT",
    }  # fmt: skip
    associated = {
        (each.inputs["webAclArn"], each.inputs["resourceArn"])
        for each in graph.of_type("aws:wafv2/webAclAssociation:WebAclAssociation")
    }
    assert associated == {
        (acls["api-web-acl"].outputs["arn"], graph.named(BALANCER, "api-balancer").id),
        (
            acls["sign-in-web-acl"].outputs["arn"],
            graph.named("aws:cognito/userPool:UserPool", "user-pool").outputs["arn"],
        ),
    }
    (distribution,) = graph.of_type(DISTRIBUTION)
    assert distribution.inputs["webAclId"] == acls["viewer-web-acl"].outputs["arn"]
    # WAF and certificates of CloudFront lie in one region.
    assert acls["viewer-web-acl"].inputs["region"] == "us-east-1"


def test_a_firewall_knows_the_known_attacks_limits_the_rate_and_logs_without_credentials(
    graph: Graph,
) -> None:
    for acl in graph.of_type(WEB_ACL):
        rules = {each["name"]: each for each in acl.inputs["rules"]}
        assert set(rules) == {
            "rate",
            "AWSManagedRulesAmazonIpReputationList",
            "AWSManagedRulesCommonRuleSet",
            "AWSManagedRulesKnownBadInputsRuleSet",
        }
        assert len({each["priority"] for each in rules.values()}) == len(rules)
        rate = rules["rate"]["statement"]["rateBasedStatement"]
        assert (rate["limit"], rate["evaluationWindowSec"]) == (20_000, 300)
        # Behind CloudFront every request comes from CloudFront.
        assert rate["aggregateKeyType"] == ("FORWARDED_IP" if acl.name == "api-web-acl" else "IP")
    logging = graph.of_type("aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration")
    assert {each.inputs["resourceArn"] for each in logging} == {
        each.outputs["arn"] for each in graph.of_type(WEB_ACL)
    }
    for each in logging:
        (destination,) = each.inputs["logDestinationConfigs"]
        # WAF takes no other name (AWS WAF developer guide, "Amazon CloudWatch Logs").
        assert destination.partition(":log-group:")[2].startswith("aws-waf-logs-")
        headers = [
            part["singleHeader"]["name"] for part in each.inputs["redactedFields"] if "singleHeader" in part
        ]
        assert headers == ["authorization", "cookie"]


def test_the_public_door_is_tls_and_leads_to_a_private_bucket_and_a_private_network(graph: Graph) -> None:
    (distribution,) = graph.of_type(DISTRIBUTION)
    inputs = distribution.inputs
    assert inputs["viewerCertificate"]["minimumProtocolVersion"] == "TLSv1.2_2021"
    pages, api = inputs["origins"]
    assert pages["domainName"].startswith(f"rayline-{graph.stack}-viewer-")
    control = graph.named("aws:cloudfront/originAccessControl:OriginAccessControl", "viewer-origin-access")
    assert pages["originAccessControlId"] == control.id
    assert (control.inputs["signingBehavior"], control.inputs["signingProtocol"]) == ("always", "sigv4")
    origin = graph.named("aws:cloudfront/vpcOrigin:VpcOrigin", "api-vpc-origin")
    assert api["vpcOriginConfig"]["vpcOriginId"] == origin.id
    assert api["domainName"] == graph.named(BALANCER, "api-balancer").outputs["dnsName"]
    endpoint = origin.inputs["vpcOriginEndpointConfig"]
    assert endpoint["originProtocolPolicy"] == "https-only"
    assert endpoint["arn"] == graph.named(BALANCER, "api-balancer").id


def test_nothing_of_the_api_is_cached_and_pages_bear_security_headers(graph: Graph) -> None:
    (distribution,) = graph.of_type(DISTRIBUTION)
    (behaviour,) = distribution.inputs["orderedCacheBehaviors"]
    # Managed-CachingDisabled and Managed-AllViewer (CloudFront developer guide, "managed policies").
    assert behaviour["pathPattern"] == "/api/*"
    assert behaviour["cachePolicyId"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
    assert behaviour["originRequestPolicyId"] == "216adef6-2c7f-47e4-b989-5492eafa07d3"
    headers = {
        each.id: each.inputs["securityHeadersConfig"]
        for each in graph.of_type("aws:cloudfront/responseHeadersPolicy:ResponseHeadersPolicy")
    }
    pages = headers[distribution.inputs["defaultCacheBehavior"]["responseHeadersPolicyId"]]
    for each in (pages, headers[behaviour["responseHeadersPolicyId"]]):
        assert each["strictTransportSecurity"]["accessControlMaxAgeSec"] >= 31_536_000
        assert each["frameOptions"]["frameOption"] == "DENY"
    policy = pages["contentSecurityPolicy"]["contentSecurityPolicy"]
    directives = {name: value for name, _, value in (part.partition(" ") for part in policy.split("; "))}
    assert directives["default-src"] == "'none'"
    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in directives["script-src"].split()
    assert graph.outputs["sign_in_url"] in directives["connect-src"]


def test_the_certificate_is_proved_in_the_sites_zone_and_used_by_both_ends(graph: Graph) -> None:
    certificates = {each.id for each in graph.of_type("aws:acm/certificate:Certificate")}
    assert graph.named(LISTENER, "api-listener").inputs["certificateArn"] in certificates
    (distribution,) = graph.of_type(DISTRIBUTION)
    assert distribution.inputs["viewerCertificate"]["acmCertificateArn"] in certificates
    proof = graph.named("aws:route53/record:Record", "certificate-proof").inputs
    assert proof["type"] == "CNAME"
    records = {
        each.inputs["type"]
        for each in graph.of_type("aws:route53/record:Record")
        if each.inputs.get("aliases")
    }
    assert records == {"A", "AAAA"}
    assert {each.inputs["zoneId"] for each in graph.of_type("aws:route53/record:Record")} == {proof["zoneId"]}


def test_a_stack_elsewhere_has_a_certificate_for_cloudfront_too(stack_elsewhere: Graph) -> None:
    graph = stack_elsewhere
    regions = {each.inputs["region"] for each in graph.of_type("aws:acm/certificate:Certificate")}
    assert regions == {"us-west-2", "us-east-1"}
    assert (
        len([each for each in graph.of_type("aws:route53/record:Record") if each.inputs["type"] == "CNAME"])
        == 1
    )


# --- what the tasks may do


def test_the_api_reads_no_upload_and_no_image(graph: Graph) -> None:
    identity = identity_of(graph, graph.named(TASK, "api-task").inputs["taskRoleArn"])
    assert identity is not None
    account = identity.arn.split(":")[4]
    bucket = f"arn:aws:s3:::rayline-{graph.stack}"
    assert identity.may("s3:GetObject", f"{bucket}-quarantine-{account}/a/b/object")
    assert identity.may("s3:PutObject", f"{bucket}-uploads-{account}/upload/hospital-a/released/x")
    assert not identity.may("s3:GetObject", f"{bucket}-uploads-{account}/upload/hospital-a/x")
    assert not identity.may("s3:PutObject", f"{bucket}-uploads-{account}/upload/hospital-a/x")
    assert not identity.may("s3:PutObject", f"{bucket}-models-{account}/x")
    assert not identity.may("s3:DeleteObjectVersion", f"{bucket}-quarantine-{account}/a/b/object")
    assert not any(clause.has_action("medical-imaging:GetImageFrame") for clause in identity.clauses)


def test_the_gateway_can_do_nothing_but_upload(graph: Graph) -> None:
    identity = identity_of(graph, graph.named(TASK, "gateway-task").inputs["taskRoleArn"])
    assert identity is not None
    actions = {action for clause in identity.clauses for action in clause.actions}
    assert {each for each in actions if each.startswith("s3:")} == {"s3:PutObject", "s3:AbortMultipartUpload"}
    assert {each.partition(":")[0] for each in actions} == {"s3", "kms", "xray"}
    account = identity.arn.split(":")[4]
    assert identity.may(
        "s3:PutObject", f"arn:aws:s3:::rayline-{graph.stack}-uploads-{account}/upload/hospital-a/x"
    )
    assert not identity.may("s3:PutObject", f"arn:aws:s3:::rayline-{graph.stack}-quarantine-{account}/x")


# --- what people are told


def test_people_are_told_where_to_go_and_what_to_type(graph: Graph) -> None:
    outputs = graph.outputs
    assert (
        outputs["viewer_url"]
        == f"https://{ {'prod': 'rayline', 'dev': 'rayline-dev', 'local': 'rayline-local'}[graph.stack] }.example.org/"
    )
    assert outputs["dimse_address"].endswith(".elb.us-east-1.amazonaws.com:11112")
    assert outputs["services"] == {kind: f"rayline-{graph.stack}-{kind}" for kind in KINDS}
    commands = outputs["commands"]
    # What `rayline deploy` does has no second way.
    assert set(commands) == {
        "add_user",
        "add_user_to_group",
        *(f"{verb}_{kind}" for verb in ("follow", "restart") for kind in KINDS),
    }
    assert outputs["user_pool_id"] in commands["add_user"]
    groups = {each.inputs["name"] for each in graph.of_type("aws:cloudwatch/logGroup:LogGroup")}
    services = {each.inputs["name"] for each in graph.of_type("aws:ecs/service:Service")}
    for kind in KINDS:
        assert groups & set(commands[f"follow_{kind}"].split()), kind
        assert services & set(commands[f"restart_{kind}"].split()), kind
