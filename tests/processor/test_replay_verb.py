"""The verb shows before it acts, asks before it does much, and says what it did."""

import json
from typing import Any

import pytest
import typer
from support.manual_clock import ManualClock
from support.processor_estate import SITE, ProcessorEstate
from typer.testing import CliRunner

from rayline.cli import replay as verb
from rayline.cli.estate import Estate
from rayline.errors import ConfigurationError
from rayline.quarantine import Quarantine
from rayline.quarantining.triage import open_triage
from rayline.release import Releaser
from rayline.reminders import StudyDue, reminder_body
from rayline.verification import Verifier


class Operator:
    """Runs the verb on an estate."""

    def __init__(self, estate: ProcessorEstate, clock: ManualClock, patch: pytest.MonkeyPatch) -> None:
        self.estate = estate
        services = estate.runtime(clock).services
        settings, clients = estate.settings, estate.clients
        quarantine = Quarantine(clients.s3, settings.quarantine_bucket, site=SITE, clock=clock)
        releaser = Releaser(clients, settings, services.ledger, quarantine)
        opened = Estate(
            settings=settings,
            clients=clients,
            ledger=services.ledger,
            quarantine=quarantine,
            releaser=releaser,
            triage=open_triage(clients, settings, services.ledger, quarantine, releaser, clock=clock),
            verifier=Verifier(
                clients.dynamodb, services.ledger, services.outbox, site=SITE,
                datastore_id=settings.datastore_id, clock=clock,
            ),
            meter=services.meter,
        )  # fmt: skip
        patch.setattr(verb, "open_estate", lambda: opened)
        self._app = typer.Typer()
        self._app.callback()(lambda: None)
        verb.register(self._app)

    def run(self, *arguments: str, answer: str | None = None) -> Any:
        """Run the verb."""
        return CliRunner().invoke(self._app, ["replay", *arguments], input=answer)

    def bury(self, count: int) -> None:
        """Dead letters that are no events, which takes no time to send."""
        for number in range(count):
            self.estate.clients.sqs.send_message(
                QueueUrl=self.estate.settings.dead_letter_queue_url,
                MessageBody=reminder_body(StudyDue(site=SITE, study_instance_uid=f"1.{number}")),
            )

    def counts(self) -> tuple[int, int]:
        """Messages in the event queue and in the dead-letter queue."""
        settings = self.estate.settings
        found = []
        for url in (settings.queue_url, settings.dead_letter_queue_url):
            name = "ApproximateNumberOfMessages"
            answer = self.estate.clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])
            found.append(int(answer["Attributes"][name]))
        return found[0], found[1]


@pytest.fixture
def operator(estate: ProcessorEstate, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Operator:
    return Operator(estate, clock, monkeypatch)


def test_much_is_done_only_after_asking(operator: Operator) -> None:
    operator.bury(101)
    declined = operator.run("--from", "dlq", answer="n\n")
    assert declined.exit_code == 1
    assert "Replay 101 events?" in declined.stderr
    assert operator.counts() == (0, 101)
    accepted = operator.run("--from", "dlq", "--json", answer="y\n")
    assert accepted.exit_code == 0
    assert json.loads(accepted.stdout.splitlines()[-1])["sent"] == 101
    assert operator.counts() == (101, 0)


def test_yes_answers_and_little_is_not_asked_about(operator: Operator) -> None:
    operator.bury(101)
    assert operator.run("--from", "dlq", "--yes").exit_code == 0
    assert operator.counts() == (101, 0)
    operator.bury(100)
    assert operator.run("--from", "dlq").exit_code == 0
    assert operator.counts() == (201, 0)


def test_a_dry_run_asks_nothing_and_shows_a_row_an_effect(operator: Operator) -> None:
    operator.bury(3)
    shown = operator.run("--from", "dlq", "--dry-run")
    assert shown.exit_code == 0
    assert shown.stdout.count("reminder") == 3
    assert "sent again" not in shown.stdout
    assert operator.counts() == (0, 3)


def test_nothing_to_replay_is_no_failure(operator: Operator) -> None:
    finished = operator.run("--from", "quarantine", "--json")
    assert finished.exit_code == 0
    assert json.loads(finished.stdout) == {
        "source": "quarantine", "found": 0, "sent": None, "reopened": 0, "left": 0, "effects": []
    }  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "dlq", "--event", "nothing"], "use one of uploaded"),
        (["--from", "archive", "--since", "1h", "--until", "2h"], "--since is not before --until"),
        (["--from", "archive", "--since", "yesterday"], "is no time"),
    ],
)
def test_wrong_arguments_are_refused_with_what_is_right(
    operator: Operator, arguments: list[str], told: str
) -> None:
    refused = operator.run(*arguments)
    assert isinstance(refused.exception, ConfigurationError)
    assert told in str(refused.exception)
