"""The provisioner on small programs: what it creates, leaves alone, changes, replaces, deletes and refuses."""

import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from support.local_cloud import LocalCloud

from rayline_infra.planning import ProgramError
from rayline_local.provisioner import apply

PROJECT = "name: rayline-test\nruntime: python\nmain: .\n"
STACK = "config:\n  rayline:seconds: 30\n  rayline:accountId: '123456789012'\n  aws:region: us-east-1\n"
HEADER = "import json\nimport pulumi\nimport pulumi_aws as aws\n"


class Programs:
    """One project whose program a test rewrites between two runs against the same cloud."""

    def __init__(self, folder: Path, cloud: LocalCloud, prefix: str) -> None:
        self.folder = folder
        self.cloud = cloud
        self.prefix = prefix
        self.state_path = folder / "state" / "estate.json"
        self.lines: list[str] = []
        (folder / "Pulumi.yaml").write_text(PROJECT)
        (folder / "Pulumi.test.yaml").write_text(STACK)

    def write(self, body: str) -> None:
        (self.folder / "__main__.py").write_text(HEADER + body.replace("PREFIX", self.prefix))

    def apply(self, body: str, overrides: dict[str, str] | None = None) -> dict[str, Any]:
        self.write(body)
        self.lines = []
        return apply(
            "test",
            self.cloud.endpoint_url,
            self.state_path,
            project=self.folder,
            overrides=overrides,
            report=self.lines.append,
        )

    @property
    def summary(self) -> str:
        return self.lines[-1]

    def state(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.state_path.read_text())
        return document


@pytest.fixture
def programs(tmp_path: Path, local_cloud: LocalCloud, request: pytest.FixtureRequest) -> Programs:
    return Programs(tmp_path, local_cloud, f"prov-{zlib.crc32(request.node.name.encode()):08x}")


QUEUE = 'queue = aws.sqs.Queue("events", name="PREFIX-events", visibility_timeout_seconds={seconds})\n'
EXPORT = 'pulumi.export("queue_url", queue.url)\n'


def visibility(programs: Programs, url: str) -> str:
    sqs = programs.cloud.client("sqs")
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    return str(found["Attributes"]["VisibilityTimeout"])


def test_applying_twice_changes_nothing(programs: Programs) -> None:
    first = programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert programs.summary == "1 created"
    before = programs.state()
    second = programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert programs.summary == "1 unchanged"
    assert first == second
    assert programs.state() == before


def test_a_change_updates_in_place(programs: Programs) -> None:
    first = programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert visibility(programs, first["queue_url"]) == "30"
    second = programs.apply(QUEUE.format(seconds=45) + EXPORT)
    assert programs.summary == "1 updated"
    assert any("visibilityTimeoutSeconds: 30" in line and "45" in line for line in programs.lines)
    assert second == first
    assert visibility(programs, second["queue_url"]) == "45"


def test_an_override_replaces_a_setting_for_one_run(programs: Programs) -> None:
    program = QUEUE.format(seconds='pulumi.Config("rayline").require_int("seconds")') + EXPORT
    outputs = programs.apply(program, {"rayline:seconds": "50"})
    assert visibility(programs, outputs["queue_url"]) == "50"
    programs.apply(program)
    assert visibility(programs, outputs["queue_url"]) == "30"
    with pytest.raises(ProgramError, match=r"no setting aws:regoin in Pulumi\.test\.yaml"):
        programs.apply(program, {"aws:regoin": "us-east-1"})


def test_another_name_replaces(programs: Programs) -> None:
    programs.apply(QUEUE.format(seconds=30) + EXPORT)
    programs.apply(QUEUE.format(seconds=30).replace("PREFIX-events", "PREFIX-other") + EXPORT)
    assert programs.summary == "1 replaced"
    sqs = programs.cloud.client("sqs")
    urls = sqs.list_queues(QueueNamePrefix=programs.prefix).get("QueueUrls", [])
    assert [url.rsplit("/", 1)[-1] for url in urls] == [f"{programs.prefix}-other"]


def test_what_is_no_longer_declared_is_deleted_last_made_first(programs: Programs) -> None:
    topic = 'topic = aws.sns.Topic("alarms", name="PREFIX-alarms")\n'
    bus = 'aws.cloudwatch.EventBus("bus", name="PREFIX", opts=pulumi.ResourceOptions(depends_on=[topic]))\n'
    programs.apply(QUEUE.format(seconds=30) + topic + bus + EXPORT)
    assert programs.summary == "3 created"
    programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert programs.summary == "2 deleted, 1 unchanged"
    assert [line.split()[-1] for line in programs.lines if line.startswith("deleted")] == ["bus", "alarms"]
    topics = programs.cloud.client("sns").list_topics()["Topics"]
    assert not [each for each in topics if each["TopicArn"].endswith(f"{programs.prefix}-alarms")]
    assert [each["name"] for each in programs.state()["resources"]] == ["events"]


def test_what_the_cloud_lost_is_restored(programs: Programs) -> None:
    outputs = programs.apply(QUEUE.format(seconds=30) + EXPORT)
    programs.cloud.client("sqs").delete_queue(QueueUrl=outputs["queue_url"])
    programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert programs.summary == "1 restored"
    assert visibility(programs, outputs["queue_url"]) == "30"


def test_a_lost_state_adopts_what_exists(programs: Programs) -> None:
    program = (
        'key = aws.kms.Key("key", policy=json.dumps({"Version": "2012-10-17", "Statement": []}), '
        'tags={"Name": "PREFIX"})\n' + QUEUE.format(seconds=30) + EXPORT + 'pulumi.export("key", key.arn)\n'
    )
    first = programs.apply(program)
    programs.state_path.unlink()
    assert programs.apply(program) == first


def test_a_data_store_is_neither_renamed_nor_given_another_key(programs: Programs) -> None:
    keys = "".join(
        f'{name} = aws.kms.Key("{name}", policy=json.dumps({{"Version": "2012-10-17", "Statement": []}}), '
        f'tags={{"Name": "PREFIX-{name}"}})\n'
        for name in ("first", "second")
    )
    datastore = (
        keys + 'store = aws.cloudcontrol.Resource("store", type_name="AWS::HealthImaging::Datastore", '
        'desired_state=pulumi.Output.json_dumps({"DatastoreName": "PREFIX", "KmsKeyArn": first.arn}))\n'
        'pulumi.export("properties", store.properties)\n'
    )
    properties = json.loads(programs.apply(datastore)["properties"])
    assert properties["DatastoreArn"].endswith(properties["DatastoreId"])
    with pytest.raises(ProgramError, match="cannot be renamed"):
        programs.apply(datastore.replace('"DatastoreName": "PREFIX"', '"DatastoreName": "PREFIX-other"'))
    with pytest.raises(ProgramError, match="cannot change its key"):
        programs.apply(datastore.replace('"KmsKeyArn": first.arn', '"KmsKeyArn": second.arn'))
    imaging = programs.cloud.client("medical-imaging")
    found = imaging.get_datastore(datastoreId=properties["DatastoreId"])["datastoreProperties"]
    assert (found["datastoreStatus"], found["datastoreName"]) == ("ACTIVE", programs.prefix)


def test_another_cloud_control_type_is_refused(programs: Programs) -> None:
    with pytest.raises(ProgramError, match="AWS::Logs::LogGroup is not known here"):
        programs.apply(
            'aws.cloudcontrol.Resource("g", type_name="AWS::Logs::LogGroup", desired_state="{}")\n'
        )


def test_an_unknown_type_is_refused_by_name(programs: Programs) -> None:
    with pytest.raises(ProgramError, match=r"aws:redshift/cluster:Cluster.*NOT_EMULATED"):
        programs.apply('aws.redshift.Cluster("c", cluster_identifier="PREFIX", node_type="x")\n')
    assert not programs.state_path.exists()


def test_an_invoke_is_refused(programs: Programs) -> None:
    with pytest.raises(ProgramError, match=r"looks up aws:index/getCallerIdentity:getCallerIdentity"):
        programs.apply("aws.get_caller_identity()\n")


def test_reading_an_existing_resource_is_refused(programs: Programs) -> None:
    with pytest.raises(ProgramError, match="reads an existing aws:sqs/queue:Queue"):
        programs.apply('aws.sqs.Queue.get("found", "https://example.invalid/queue")\n')


def test_an_output_that_no_adapter_answers_is_refused(programs: Programs) -> None:
    topic = 'topic = aws.sns.Topic("alarms", name="PREFIX-alarms")\n'
    with pytest.raises(ProgramError, match=r"Topic alarms answered no beginning_archive_time"):
        programs.apply(
            topic + 'aws.sqs.Queue("q", name=topic.beginning_archive_time.apply(lambda t: f"PREFIX-{t}"))\n'
        )
    queues = programs.cloud.client("sqs").list_queues(QueueNamePrefix=programs.prefix)
    assert not queues.get("QueueUrls")


def test_two_resources_of_one_name_are_refused(programs: Programs) -> None:
    with pytest.raises(ProgramError, match="twice"):
        programs.apply(QUEUE.format(seconds=30) + QUEUE.format(seconds=45))


def test_a_protected_resource_is_neither_replaced_nor_deleted(programs: Programs) -> None:
    protected = QUEUE.format(seconds=30).replace("seconds=30)", "seconds=30, opts=OPTS)")
    options = "OPTS = pulumi.ResourceOptions(protect=True)\n"
    outputs = programs.apply(options + protected + EXPORT)
    with pytest.raises(ProgramError, match="protected"):
        programs.apply(options + protected.replace("PREFIX-events", "PREFIX-other") + EXPORT)
    with pytest.raises(ProgramError, match="protected: aws:sqs/queue:Queue events"):
        programs.apply("")
    assert visibility(programs, outputs["queue_url"]) == "30"
    # Unprotected in one run, it may go in the next.
    programs.apply(QUEUE.format(seconds=30))
    programs.apply("")
    assert programs.summary == "1 deleted"


def test_a_retained_resource_is_forgotten_and_stays(programs: Programs) -> None:
    retained = QUEUE.format(seconds=30).replace(
        "seconds=30)", "seconds=30, opts=pulumi.ResourceOptions(retain_on_delete=True))"
    )
    outputs = programs.apply(retained + EXPORT)
    programs.apply("")
    assert programs.state()["resources"] == []
    assert visibility(programs, outputs["queue_url"]) == "30"


def test_secret_inputs_are_neither_printed_nor_kept(programs: Programs) -> None:
    secret = 'aws.secretsmanager.Secret("s", name="PREFIX", description=pulumi.Output.secret("{text}"))\n'
    programs.apply(secret.format(text="first-hidden-text"))
    programs.apply(secret.format(text="second-hidden-text"))
    assert programs.summary == "1 updated"
    assert any("[secret] -> [secret]" in line for line in programs.lines)
    for shown in ("\n".join(programs.lines), programs.state_path.read_text()):
        assert "hidden-text" not in shown
    found = programs.cloud.client("secretsmanager").describe_secret(SecretId=programs.prefix)
    assert found["Description"] == "second-hidden-text"


def test_a_failure_keeps_what_was_made_and_the_next_run_goes_on(programs: Programs) -> None:
    broken = 'aws.sqs.QueuePolicy("p", queue_url="http://127.0.0.1:9/1/none", policy=queue.arn)\n'
    with pytest.raises(ProgramError, match="aws:sqs/queuePolicy:QueuePolicy p"):
        programs.apply(QUEUE.format(seconds=30) + broken)
    assert [each["name"] for each in programs.state()["resources"]] == ["events"]
    programs.apply(QUEUE.format(seconds=30) + EXPORT)
    assert programs.summary == "1 unchanged"


def test_anothers_state_is_refused(programs: Programs) -> None:
    programs.apply(QUEUE.format(seconds=30))
    document = programs.state()
    programs.state_path.write_text(json.dumps({**document, "stack": "prod"}))
    with pytest.raises(ProgramError, match="holds stack prod"):
        programs.apply(QUEUE.format(seconds=30))
