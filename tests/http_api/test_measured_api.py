"""What the API measures: how many people use it at the same time, and what the audit trail took."""

import io
import json
from typing import Any

import pytest
from support.in_memory_cloud.calls import aws_error
from support.manual_clock import ManualClock
from support.quarantined_site import QuarantinedSite

from rayline.http_api.app import create_app
from rayline.http_api.viewers import Viewers
from rayline.observability.audit import AuditTrail
from rayline.observability.meter import Meter
from rayline.observability.metrics import CONCURRENT_VIEWERS

from .conftest import Api, authenticator


@pytest.fixture
def viewers(clock: ManualClock) -> Viewers:
    return Viewers(clock)


@pytest.fixture
def watched(site: QuarantinedSite, clock: ManualClock, viewers: Viewers) -> Api:
    return Api(create_app(site.triage, authenticator(clock), viewers=viewers))


def test_people_count_once_and_for_five_minutes(watched: Api, viewers: Viewers, clock: ManualClock) -> None:
    for who in ("reader", "reader", "writer"):
        watched.get(who, "/quarantine/entries")
    assert viewers.present() == 2
    clock.pass_time(240)
    watched.get("reader", "/quarantine/entries")
    clock.pass_time(61)
    assert viewers.present() == 1
    clock.pass_time(300)
    assert viewers.present() == 0


def test_whoever_is_not_known_does_not_count(watched: Api, viewers: Viewers) -> None:
    assert watched.ask(None, "GET", "/quarantine/entries").status_code == 401
    assert watched.ask("stranger", "GET", "/quarantine/entries").status_code == 401
    assert watched.ask(None, "GET", "/health").status_code == 204
    assert viewers.present() == 0
    # Who may nothing is somebody all the same.
    assert watched.ask("nobody", "GET", "/quarantine/entries").status_code == 403
    assert viewers.present() == 1


def published(meter: Meter, log: io.StringIO) -> dict[str, Any]:
    meter.flush()
    return {name: value for line in log.getvalue().splitlines() for name, value in json.loads(line).items()}


def test_the_level_is_published_without_anybodys_name(viewers: Viewers, clock: ManualClock) -> None:
    log = io.StringIO()
    meter = Meter("test-site", clock=clock, stream=log)
    meter.watch(CONCURRENT_VIEWERS, viewers.present)
    viewers.seen("dr.somebody")
    assert published(meter, log)["ConcurrentViewers"] == 1
    assert "somebody" not in log.getvalue()


def test_what_is_on_record_counts_and_what_cannot_be_recorded_is_an_error(
    site: QuarantinedSite, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = io.StringIO()
    meter = Meter("test-site", clock=clock, stream=log)
    settings, dynamodb = site.estate.settings, site.estate.clients.dynamodb
    trail = AuditTrail(dynamodb, settings.image_tracking_table, site="test-site", clock=clock, meter=meter)
    trail.record("phi_viewed", "officer", entry_id="1")

    def refuse(**_: Any) -> Any:
        raise aws_error("AccessDeniedException", "denied", "PutItem")

    monkeypatch.setattr(dynamodb, "put_item", refuse)
    with pytest.raises(Exception, match="AccessDenied"):
        trail.record("phi_viewed", "officer", entry_id="2")
    values = published(meter, log)
    assert (values["AuditEntries"], values["AuditErrors"]) == (1, 1)
