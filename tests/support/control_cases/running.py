"""Cases of containers, records of activity and tags."""

import json
from typing import Any

from support.control_case import Case
from support.small_graphs import arn, bucket, datastore, graph, made, task, topic

from rayline_infra.policies.graph import Graph, Resource

REPOSITORY_URL = "222222222222.dkr.ecr.us-east-1.amazonaws.com/processor"
TRAIL = "aws:cloudtrail/trail:Trail"
ALARM = "aws:cloudwatch/metricAlarm:MetricAlarm"
VPC = "aws:ec2/vpc:Vpc"


def container(**changes: Any) -> Graph:
    settings = {
        "name": "processor",
        "image": f"{REPOSITORY_URL}:0.1.0",
        "user": "10001:10001",
        "readonlyRootFilesystem": True,
        "linuxParameters": {"capabilities": {"drop": ["ALL"]}},
        "healthCheck": {"command": ["CMD", "rayline", "health"]},
        "environment": [{"name": "RAYLINE_STACK", "value": "prod"}],
        "logConfiguration": {"options": {"awslogs-group": "/rayline/processor"}},
        **changes,
    }
    return graph(
        task(settings),
        repository("IMMUTABLE"),
        made("aws:cloudwatch/logGroup:LogGroup", "logs", {"name": "/rayline/processor"}),
    )


def repository(mutability: str, *, scanned: bool = True) -> Resource:
    return made(
        "aws:ecr/repository:Repository",
        "repository",
        {"imageTagMutability": mutability, "imageScanningConfiguration": {"scanOnPush": scanned}},
        outputs={"repositoryUrl": REPOSITORY_URL},
    )


def environment(name: str, value: str) -> Graph:
    return container(environment=[{"name": name, "value": value}])


COMPLETE = {"enableLogFileValidation": True, "isMultiRegionTrail": True}


def trail(**inputs: Any) -> Graph:
    selector = {"dataResources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3"]}]}
    settings = {**COMPLETE, "eventSelectors": [selector], **inputs}
    return graph(made(TRAIL, "trail", settings), bucket("uploads"))


def selecting(**fields: str) -> dict[str, Any]:
    """An advanced event selector; ``resources_type`` and ``resources_ARN`` stand for names with a dot."""
    named = {name.replace("_", "."): value for name, value in fields.items()}
    return {
        "fieldSelectors": [
            {"field": name, "startsWiths" if name == "resources.ARN" else "equals": [value]}
            for name, value in named.items()
        ]
    }


MANAGEMENT = selecting(eventCategory="Management")
OBJECTS = selecting(eventCategory="Data", resources_type="AWS::S3::Object", resources_ARN="arn:aws:s3:::b-")
IMAGES = selecting(eventCategory="Data", resources_type="AWS::MedicalImaging::Datastore")


def selected(*selectors: dict[str, Any]) -> Graph:
    found = trail(eventSelectors=None, advancedEventSelectors=list(selectors))
    return graph(*found.resources, datastore())


OTHER = {"dataResources": [{"type": "AWS::S3::Object", "values": ["arn:aws:s3:::b-models/"]}]}


def logged(*buckets: str) -> Graph:
    parts = [
        made(
            "aws:s3/bucketLogging:BucketLogging",
            f"{name}-logging",
            {"bucket": f"b-{name}", "targetBucket": "b-access-logs"},
        )
        for name in buckets
    ]
    return graph(bucket("uploads"), bucket("models"), bucket("access-logs"), *parts)


def copied(*, cloud_trail: str) -> Graph:
    return graph(bucket("models-replica"), made("rayline:audit:Audit", "audit", {"cloudTrail": cloud_trail}))


def watched(traffic: str) -> Graph:
    return graph(
        made(VPC, "vpc", identity="vpc-1"),
        made("aws:ec2/flowLog:FlowLog", "flow", {"vpcId": "vpc-1", "trafficType": traffic}),
    )


def alarm(**inputs: Any) -> Graph:
    settings = {"name": "gaps", "alarmActions": [arn("sns", "alarms")], **inputs}
    return graph(made(ALARM, "gaps", settings), topic("alarms"))


def composed(rule: str) -> Graph:
    composite = {"alarmName": "processing", "alarmRule": rule, "alarmActions": [arn("sns", "alarms")]}
    return graph(
        made(ALARM, "gaps", {"name": "gaps"}),
        made("aws:cloudwatch/compositeAlarm:CompositeAlarm", "processing", composite),
        topic("alarms"),
    )


def provider(tags: dict[str, str]) -> Graph:
    return graph(made("pulumi:providers:aws", "aws", {"defaultTags": json.dumps({"tags": tags})}))


def guards(*, detector: bool = True, recording: bool = True) -> Graph:
    return graph(
        made("aws:guardduty/detector:Detector", "detector", {"enable": detector}),
        made("aws:cfg/recorder:Recorder", "recorder"),
        made("aws:cfg/recorderStatus:RecorderStatus", "recording", {"isEnabled": recording}),
        made("aws:accessanalyzer/analyzer:Analyzer", "analyzer"),
    )


def accounts(guard_duty: str) -> Graph:
    made_elsewhere = {"guardDuty": guard_duty, "config": "existing", "accessAnalyzer": "existing"}
    return graph(made("rayline:audit:Audit", "audit", made_elsewhere))


def cluster(insights: str) -> Graph:
    return graph(
        made(
            "aws:ecs/cluster:Cluster",
            "cluster",
            {"settings": [{"name": "containerInsights", "value": insights}]},
        )
    )


def ecs_service(**inputs: Any) -> Graph:
    settings = {
        "propagateTags": "SERVICE",
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        **inputs,
    }
    return graph(made("aws:ecs/service:Service", "processor", settings))


def cases() -> list[Case]:
    """All of them."""
    fine = container()
    capabilities = {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}
    application = {"application": "rayline", "stack": "prod", "site": "hospital-a"}
    return [
        Case("CON-1", "root", fine, container(user="0:0"), "task"),
        Case("CON-1", "nobody said who", fine, container(user=None), "task"),
        Case("CON-1", "capabilities stay", fine, container(linuxParameters={}), "task"),
        Case("CON-1", "a capability is added", fine, container(linuxParameters=capabilities), "task"),
        Case("CON-1", "privileged", fine, container(privileged=True), "task"),
        Case("CON-2", "a writable root file system", fine, container(readonlyRootFilesystem=False), "task"),
        Case("CON-3", "a password in the environment", fine, environment("PACS_PASSWORD", "x"), "task"),
        Case(
            "CON-3",
            "a key under another name",
            environment("TRACKING_SECRET_ARN", arn("secretsmanager", "secret:t")),
            environment("SALT", "0" * 64),
            "task",
        ),
        Case("CON-4", "nobody asks how it is", fine, container(healthCheck=None), "task"),
        Case("CON-5", "a tag that moves", fine, container(image=f"{REPOSITORY_URL}:latest"), "task"),
        Case(
            "CON-5", "somebody else's image", fine, container(image="docker.io/library/python:3.11"), "task"
        ),
        Case("CON-5", "a tag that may be overwritten", fine, graph(repository("MUTABLE")), "repository"),
        Case(
            "CON-5",
            "images are not scanned",
            fine,
            graph(repository("IMMUTABLE", scanned=False)),
            "repository",
        ),
        Case(
            "CON-6",
            "a failed deployment stays",
            ecs_service(),
            ecs_service(deploymentCircuitBreaker={"enable": True, "rollback": False}),
            "processor",
        ),
        Case(
            "LOG-1",
            "a bucket writes no access logs",
            logged("uploads", "models"),
            logged("uploads"),
            "models",
        ),
        Case(
            "LOG-1",
            "neither bucket nor account records what is read",
            copied(cloud_trail="existing"),
            copied(cloud_trail="create"),
            "models-replica",
        ),
        Case("LOG-2", "no trail", trail(), graph(), "CloudTrail"),
        Case("LOG-2", "a trail of one region", trail(), trail(isMultiRegionTrail=False), "trail"),
        Case(
            "LOG-2", "a trail that anyone may change", trail(), trail(enableLogFileValidation=False), "trail"
        ),
        Case("LOG-2", "a trail without data events", trail(), trail(eventSelectors=[]), "uploads"),
        Case(
            "LOG-2", "a trail of another bucket's objects", trail(), trail(eventSelectors=[OTHER]), "uploads"
        ),
        Case(
            "LOG-2",
            "a trail is switched off",
            trail(),
            graph(*trail().resources, made(TRAIL, "second", {**COMPLETE, "enableLogging": False})),
            "second",
        ),
        Case(
            "LOG-2",
            "nobody records what manages resources",
            selected(MANAGEMENT, OBJECTS, IMAGES),
            selected(OBJECTS, IMAGES),
            "trail of management",
        ),
        Case(
            "LOG-2",
            "nobody records who reads images",
            selected(MANAGEMENT, OBJECTS, IMAGES),
            selected(MANAGEMENT, OBJECTS),
            "datastore",
        ),
        Case(
            "LOG-2",
            "only writes are recorded",
            selected(MANAGEMENT, OBJECTS, IMAGES),
            selected(
                MANAGEMENT,
                selecting(eventCategory="Data", resources_type="AWS::S3::Object", readOnly="false"),
                IMAGES,
            ),
            "uploads",
        ),
        Case("LOG-3", "accepted traffic only", watched("ALL"), watched("ACCEPT"), "vpc"),
        Case("LOG-3", "no flow log", watched("ALL"), graph(made(VPC, "vpc", identity="vpc-1")), "vpc"),
        Case("LOG-4", "the cluster is not watched", cluster("enhanced"), cluster("disabled"), "cluster"),
        Case(
            "LOG-4",
            "the load balancer writes nothing down",
            *(
                graph(
                    made(
                        "aws:lb/loadBalancer:LoadBalancer",
                        "api",
                        {"accessLogs": {"enabled": on, "bucket": "b"}},
                    )
                )
                for on in (True, False)
            ),
            "api",
        ),
        Case(
            "LOG-5",
            "a container logs elsewhere",
            fine,
            container(logConfiguration={"options": {"awslogs-group": "/other"}}),
            "task",
        ),
        Case("LOG-6", "the detector is off", guards(), guards(detector=False), "detector"),
        Case("LOG-6", "the recorder is not started", guards(), guards(recording=False), "recorder"),
        Case(
            "LOG-6",
            "the account's own is another's to show",
            accounts("existing"),
            accounts("create"),
            "GuardDuty",
        ),
        Case("LOG-6", "nobody watches", guards(), graph(), "AWS Config"),
        Case("LOG-7", "an alarm without an action", alarm(), alarm(alarmActions=[]), "gaps"),
        Case("LOG-7", "an alarm that is switched off", alarm(), alarm(actionsEnabled=False), "gaps"),
        Case(
            "LOG-7",
            "an alarm to a topic of nobody's",
            alarm(),
            alarm(alarmActions=[arn("sns", "other")]),
            "gaps",
        ),
        Case(
            "LOG-7",
            "a composite of another alarm",
            composed('ALARM("gaps")'),
            composed('ALARM("other")'),
            "gaps",
        ),
        Case(
            "LOG-7",
            "an alarm that only silences another",
            composed('ALARM("gaps")'),
            composed('ALARM("other") AND NOT ALARM("gaps")'),
            "gaps",
        ),
        Case(
            "LOG-8",
            "nobody reads the topic",
            graph(
                topic("alarms"),
                made("aws:sns/topicSubscription:TopicSubscription", "mail", {"topic": arn("sns", "alarms")}),
            ),
            graph(topic("alarms")),
            "alarms",
        ),
        Case(
            "TAG-1",
            "no site",
            provider(application),
            provider({"application": "rayline", "stack": "prod"}),
            "aws",
        ),
        Case(
            "TAG-2",
            "a resource of another stack",
            graph(bucket("uploads", tags={"Name": "x"})),
            graph(bucket("uploads", tags={"stack": "dev"})),
            "uploads",
        ),
        Case(
            "TAG-3",
            "a tag that changes with the stack",
            graph(datastore()),
            graph(datastore(tags={"application": "rayline", "stack": "prod"})),
            "datastore",
        ),
        Case("TAG-4", "tasks without tags", ecs_service(), ecs_service(propagateTags="NONE"), "processor"),
    ]
