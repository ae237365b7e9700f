"""Real processes on a whole local estate: plugins that block, workers that are killed, and a drain in time."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.installed_plugin import install_plugin
from support.own_estate import Account, OwnEstate, eventually

from rayline.dispatcher import MAX_CRASHES
from rayline.supervisor import DRAIN_SECONDS
from rayline.testing import ImageSpec, image_content
from rayline_local.tasks import process_environment, task_environment

STUCK_PATIENT = 666
SLOW_PATIENT = 777
GREEDY_PATIENT = 888
LEASE_SECONDS = 120

# Screens like any plugin, but for one patient it blocks in C with the interpreter's lock held, so that neither a
# signal nor the worker's own heartbeat gets through.
BLOCKING = """
    import ctypes
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = "blocking"
    policies = {"screen_instance": Policy(on_failure="reject", timeout_seconds=3, sees_phi=True)}

    @hookimpl
    def screen_instance(instance, context):
        if instance.dataset.PatientID == "PID000666":
            ctypes.PyDLL(None).sleep(3600)
        return None
"""
# For one patient it says in which process it is at work, and waits for leave.
SLOW = """
    import os, time
    from pathlib import Path
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = "slow"
    policies = {"screen_instance": Policy(on_failure="reject", timeout_seconds=300, sees_phi=True)}
    folder = Path(__file__).parent

    @hookimpl
    def screen_instance(instance, context):
        if instance.dataset.PatientID == "PID000777":
            (folder / f"slow-{os.getpid()}").touch()
            while not (folder / "leave").exists():
                time.sleep(0.02)
        return None
"""
# For one patient it needs more memory than the site grants it.
GREEDY = """
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = "greedy"
    policies = {"screen_instance": Policy(on_failure="reject", memory_mb=64, sees_phi=True)}

    @hookimpl
    def screen_instance(instance, context):
        if instance.dataset.PatientID == "PID000888":
            hoard = [bytes(1024 * 1024) for _ in range(4096)]
        return None
"""
# An observer that fails for one patient's images, always.
FAILING = """
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = "failing"
    policies = {"on_uploaded": Policy(on_failure="retry", order=400, sees_phi=True)}

    @hookimpl
    def on_uploaded(event, context):
        if "/fails/" in event.key:
            raise ValueError(event.key)
"""
WITNESS = """
    import os
    from pathlib import Path
    from rayline.plugin import Policy, hookimpl

    api = 1
    name = "witness"
    policies = {"on_uploaded": Policy(on_failure="retry", order=500)}

    @hookimpl
    def on_uploaded(event, context):
        with open(Path(__file__).parent / "witnessed", "a") as file:
            file.write(event.version_id + "\\n")
"""
PROFILE = """
identity: original
plugins:
  - name: blocking
  - name: slow
  - name: greedy
  - name: failing
  - name: witness
"""


class Processing:
    """An estate, and the processor of one test."""

    def __init__(self, estate: OwnEstate, folder: Path) -> None:
        self.estate = estate
        self.account: Account = estate.account
        self.folder = folder
        self.series = 0

    def upload(self, count: int, patient: int = 1, folder: str = "") -> list[str]:
        """Put images of a new series into the bucket. Returns their version ids."""
        self.series += 1
        s3 = self.account.client("s3")
        versions = []
        for number in range(count):
            content = image_content(ImageSpec(patient=patient, series=self.series, instance=number))
            key = f"upload/hospital-a/{folder}{self.series}/{number}"
            answer = s3.put_object(Bucket=self.account.bucket("uploads"), Key=key, Body=content)
            versions.append(answer["VersionId"])
        return versions

    @contextmanager
    def processor(self, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """`rayline process` under the task role; drained at the end, unless it has ended."""
        environment = process_environment(task_environment(self.estate.front, "rayline-local-processor"))
        settings = {"site_profile": str(self.folder / "profile.yaml"), **settings}
        environment |= {f"RAYLINE_{name.upper()}": value for name, value in settings.items()}
        environment["PYTHONPATH"] = str(self.folder)
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rayline.cli", "process"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        try:
            yield process
        finally:
            # A killed worker's long poll would still take messages, and hide them from the next test.
            process.terminate()
            process.wait(DRAIN_SECONDS + 10)

    @property
    def log(self) -> str:
        """What the processor has said."""
        return (self.folder / "log").read_text()

    def stages(self) -> dict[str, int]:
        """Instances of the current series by stage."""
        return dict(self.account.stages())

    def dead_letters(self) -> int:
        """Messages that ended in the dead-letter queue."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]
        answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(answer["Attributes"]["ApproximateNumberOfMessages"])

    def dead_letter_messages(self) -> list[dict[str, Any]]:
        """Messages of the dead-letter queue, which are taken out."""
        sqs = self.account.client("sqs")
        url = sqs.get_queue_url(QueueName="rayline-local-events-dlq")["QueueUrl"]
        found: list[dict[str, Any]] = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get(
            "Messages", []
        )
        for message in found:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return found


def children_of(process: subprocess.Popen[bytes]) -> set[int]:
    """Worker processes of a supervisor."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = set()
    for pid in map(int, path.read_text().split()):
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            workers.add(pid)
    return workers


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            continue
        if state != "Z":
            running.add(pid)
    return running


@pytest.fixture(scope="module")
def processing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processing]:
    folder = tmp_path_factory.mktemp("plugins")
    install_plugin(folder, "blocking", BLOCKING)
    install_plugin(folder, "slow", SLOW)
    install_plugin(folder, "greedy", GREEDY)
    install_plugin(folder, "failing", FAILING)
    install_plugin(folder, "witness", WITNESS)
    (folder / "profile.yaml").write_text(PROFILE)
    estate = OwnEstate(
        tmp_path_factory.mktemp("estate"),
        leaseSeconds=str(LEASE_SECONDS),
        visibilitySeconds=str(LEASE_SECONDS),
        batchQuietSeconds="1",
    )
    with estate:
        yield Processing(estate, folder)


def settled(processing: Processing, count: int) -> Any:
    """Whether so many instances are in the ledger."""
    return processing.account.stages().total() >= count


def test_a_plugin_that_blocks_is_killed_and_only_its_own_instance_is_refused(processing: Processing) -> None:
    versions = [*processing.upload(4), *processing.upload(1, STUCK_PATIENT), *processing.upload(8)]
    with processing.processor() as process:
        eventually(lambda: settled(processing, 13), "every instance settled", seconds=60)
        eventually(
            lambda: processing.stages() == {"imported": 12, "quarantined": 1},
            "the others imported",
            seconds=60,
        )
        eventually(lambda: len(witnessed(processing)) >= 13, "the sibling saw every upload", seconds=30)
        assert process.poll() is None
    (record,) = processing.account.quarantine().values()
    assert record["reason"] == "PLUGIN_TIMEOUT"
    assert "blocking" in record["explanation"]
    assert set(witnessed(processing)) == set(versions)
    assert processing.log.count("plugin_overrun") == 1
    assert processing.dead_letters() == 0
    effects = {
        name: effect["state"]
        for item in processing.account.items("effects")
        for name, effect in item.items()
        if name == "screen_instance:blocking"
    }
    assert effects == {"screen_instance:blocking": "failed"}


def witnessed(processing: Processing) -> list[str]:
    """Version ids that the sibling plugin was told of."""
    path = processing.folder / "witnessed"
    return path.read_text().split() if path.exists() else []


def test_a_worker_killed_in_a_call_is_replaced_and_its_work_goes_on_long_before_its_lease_ends(
    processing: Processing,
) -> None:
    before = processing.account.stages().total()
    started = time.monotonic()
    with processing.processor(workers="1") as process:
        processing.upload(1, SLOW_PATIENT)
        processing.upload(6)
        first = int(eventually(lambda: slow_workers(processing), "the call")[0])
        assert children_of(process) == {first}
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(slow_workers(processing)) == 2, "the call in another worker", seconds=30)
        (processing.folder / "leave").touch()
        eventually(lambda: settled(processing, before + 7), "every instance settled", seconds=30)
    assert time.monotonic() - started < LEASE_SECONDS / 2
    assert processing.account.stages()["quarantined"] == 1
    assert processing.dead_letters() == 0


def slow_workers(processing: Processing) -> list[str]:
    """Process ids in which the slow call was made."""
    return [path.name.removeprefix("slow-") for path in processing.folder.glob("slow-*")]


def test_sigterm_drains_in_time_and_seals_the_open_batch(processing: Processing) -> None:
    before = processing.account.stages().total()
    with processing.processor(batch_quiet_seconds="3600") as process:
        processing.upload(6)
        eventually(lambda: settled(processing, before + 6), "every instance settled")
        assert "open" in processing.account.batches().values()
        workers = children_of(process)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(DRAIN_SECONDS + 5) == 0
        assert time.monotonic() - started < DRAIN_SECONDS
    assert alive(workers) == set()
    assert "open" not in processing.account.batches().values()
    assert "processor_stopped" in processing.log
    # Its job ended without a processor; the next one accounts for it.
    with processing.processor():
        eventually(
            lambda: set(processing.account.batches().values()) == {"accounted"}, "batches accounted for"
        )
    assert processing.account.stages()["batched"] == 0


def test_a_call_that_kills_worker_after_worker_takes_no_bystander_to_the_dead_letters(
    processing: Processing,
) -> None:
    before = processing.account.stages()
    (processing.folder / "leave").unlink(missing_ok=True)
    for path in processing.folder.glob("slow-*"):
        path.unlink()
    processing.upload(2, SLOW_PATIENT)
    processing.upload(8)
    with processing.processor(workers="1") as process:
        # More often than a message may be received: were those counted that only lay by, they would be dead letters.
        for number in range(2 * MAX_CRASHES):
            eventually(lambda: len(slow_workers(processing)) > number, "the call")  # noqa: B023
            os.kill(children_of(process).pop(), signal.SIGKILL)
        eventually(lambda: settled(processing, before.total() + 10), "every instance settled", seconds=60)
    after = processing.account.stages()
    assert after["quarantined"] - before["quarantined"] == 2
    assert [each["reason"] for each in processing.account.quarantine().values()].count("PLUGIN_CRASHED") == 2
    assert processing.dead_letters() == 0


def test_a_plugin_that_eats_memory_refuses_its_own_instance_and_its_worker_is_replaced(
    processing: Processing,
) -> None:
    before = processing.account.stages()
    with processing.processor(workers="1") as process:
        first = eventually(lambda: children_of(process), "a worker")
        processing.upload(1, GREEDY_PATIENT)
        processing.upload(5)
        eventually(lambda: settled(processing, before.total() + 6), "every instance settled", seconds=60)
        eventually(lambda: children_of(process) - first, "a fresh worker", seconds=30)
        assert process.poll() is None
    assert "plugin_memory_overrun" in processing.log
    assert processing.account.stages()["quarantined"] - before["quarantined"] == 1
    assert [each["reason"] for each in processing.account.quarantine().values()].count("PLUGIN_MEMORY") == 1
    assert processing.dead_letters() == 0


def test_a_message_that_keeps_failing_is_dead_lettered_with_its_reason_and_its_image_goes_on(
    processing: Processing,
) -> None:
    before = processing.account.stages()
    port = free_port()
    # Two receipts, so that nobody waits for the backoff of five.
    with processing.processor(max_receive_count="2", health_port=str(port)):
        eventually(lambda: answers(port, "/ready"), "ready", seconds=60)
        processing.upload(1, folder="fails/")
        (letter,) = eventually(lambda: processing.dead_letter_messages(), "a dead letter", seconds=60)
        attributes = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
        assert attributes.pop("identity").startswith("hospital-a#uploaded#")
        assert attributes == {
            "reason": "PLUGIN_FAILED",
            "explanation": "failing: the plugin failed with ValueError",
            "received": "2",
        }
        # The siblings, and the image itself, were not held up.
        eventually(
            lambda: (
                processing.account.stages().total() == before.total() + 1
                and not processing.account.stages()["batched"]
            ),
            "imported",
            seconds=60,
        )
        assert processing.account.stages()["quarantined"] == before["quarantined"]
        assert answers(port, "/live")
    assert "fails/" not in processing.log
    assert not answers(port, "/live")
    effects = [
        (effect["state"], effect["reason"])
        for item in processing.account.items("effects")
        for name, effect in item.items()
        if name == "on_uploaded:failing" and effect["state"] != "done"
    ]
    assert effects == [("dead", "PLUGIN_FAILED: failing: the plugin failed with ValueError")]


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def answers(port: int, path: str) -> bool:
    """Whether the health check answers 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_workers_end_with_their_supervisor(processing: Processing) -> None:
    with processing.processor(workers="2") as process:
        workers = eventually(
            lambda: children_of(process) if len(children_of(process)) == 2 else set(), "two workers"
        )
        process.kill()
        process.wait(10)
        eventually(lambda: not alive(workers), "no worker left", seconds=10)


def test_a_processor_with_a_wrong_profile_does_not_start(processing: Processing) -> None:
    (processing.folder / "wrong.yaml").write_text("plugins: [{name: no_such_plugin}]")
    with processing.processor(site_profile=str(processing.folder / "wrong.yaml")) as process:
        assert process.wait(60) == 2
    assert "no_such_plugin" in processing.log
    assert "Traceback" not in processing.log
