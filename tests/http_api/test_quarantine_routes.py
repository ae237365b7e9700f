"""Quarantine over HTTP: listed, grouped, looked into, sent again and deleted, by those who may."""

from datetime import timedelta
from typing import Any

import pytest
from http_api.conftest import Api
from support.manual_clock import ManualClock
from support.processor_estate import SITE
from support.quarantined_site import QuarantinedSite

from rayline.testing import ImageSpec, image_content
from rayline.testing.phi import found_in_text

ENTRIES = "/quarantine/entries"


def identified(site: QuarantinedSite, number: int = 1) -> str:
    """A refused file that is full of a patient, sent under his name. Returns its id."""
    content = image_content(ImageSpec(instance=number, identified=True))
    return site.send(content[:-10], f"qzname_qzpid4711/{number}.dcm")


def test_entries_are_listed_as_the_index_has_them(site: QuarantinedSite, api: Api) -> None:
    entry_id = identified(site)
    (entry,) = site.listed()
    assert api.get("reader", ENTRIES) == {
        "entries": [
            {
                "entryId": entry_id, "site": SITE, "stage": "uploaded", "hook": "screen_instance",
                "reason": "TRUNCATED", "explanation": entry.explanation, "study": entry.study,
                "series": entry.series, "quarantinedAt": "2026-01-01T00:00:00Z", "sizeBytes": entry.size_bytes,
            }
        ],
        "next": None,
    }  # fmt: skip


def test_pages_follow_one_another_and_filters_hold(
    site: QuarantinedSite, api: Api, clock: ManualClock
) -> None:
    for number in range(7):
        site.refuse(number, reason="NOT_DICOM" if number % 2 else "TRUNCATED", study=f"{number % 3:016x}")
        clock.pass_time(60)
    seen: list[str] = []
    asked: dict[str, Any] = {"limit": 2, "reason": "TRUNCATED"}
    while True:
        page = api.get("reader", ENTRIES, params=asked)
        seen += [each["entryId"] for each in page["entries"]]
        assert len(page["entries"]) <= 2
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
    assert seen == [f"{number:032x}" for number in (6, 4, 2, 0)]
    found = api.get("reader", ENTRIES, params={"since": (clock() - timedelta(seconds=120)).isoformat()})
    assert [each["entryId"] for each in found["entries"]] == [f"{number:032x}" for number in (6, 5)]
    found = api.get("reader", ENTRIES, params={"study": f"{1:016x}", "before": clock().isoformat()})
    assert [each["entryId"] for each in found["entries"]] == [f"{number:032x}" for number in (4, 1)]


def test_moments_beyond_all_time_are_no_error(site: QuarantinedSite, api: Api) -> None:
    site.refuse(1)
    for moment in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"):
        found = [
            len(api.get("reader", ENTRIES, params={name: moment})["entries"]) for name in ("since", "before")
        ]
        assert found == ([1, 0] if moment.startswith("0001") else [0, 1])


def test_groups_count(site: QuarantinedSite, api: Api, clock: ManualClock) -> None:
    for number in range(3):
        site.refuse(number, content=b"xyz", reason="NOT_DICOM" if number else "TRUNCATED")
        clock.pass_time(60)
    assert api.get("reader", "/quarantine/groups", params={"by": "reason"}) == [
        {
            "value": "NOT_DICOM", "entries": 2, "sizeBytes": 6, "oldest": "2026-01-01T00:01:00Z",
            "newest": "2026-01-01T00:02:00Z", "reasons": {"NOT_DICOM": 2},
        },
        {
            "value": "TRUNCATED", "entries": 1, "sizeBytes": 3, "oldest": "2026-01-01T00:00:00Z",
            "newest": "2026-01-01T00:00:00Z", "reasons": {"TRUNCATED": 1},
        },
    ]  # fmt: skip
    only = api.get("reader", "/quarantine/groups", params={"by": "study", "reason": "TRUNCATED"})
    assert [(each["value"], each["entries"]) for each in only] == [("", 1)]


# -- patients' data


def test_nothing_that_names_the_patient_is_told_without_the_permission(
    site: QuarantinedSite, api: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    entry_id = identified(site)
    capsys.readouterr()
    told = ""
    for who in ("reader", "writer"):
        for path in (
            ENTRIES, f"{ENTRIES}/{entry_id}", f"{ENTRIES}/{entry_id}/header", "/quarantine/groups?by=study",
            "/quarantine/groups?by=series",
        ):  # fmt: skip
            told += api.ask(who, "GET", path).text
            told += api.ask(who, "GET", path, params={"phi": "true", "by": "reason"}).text
    assert '"PatientName"' in told
    assert found_in_text(told) == []
    assert "1.2.826" not in told
    # Nor does the log tell it, not even once somebody has looked.
    assert "qzname" in api.ask("officer", "GET", f"{ENTRIES}/{entry_id}/header?phi=true").text
    logged = capsys.readouterr()
    assert "api_request" in logged.out + logged.err
    assert found_in_text(logged.out + logged.err) == []


@pytest.mark.parametrize("path", ["", "/header"])
def test_patients_are_shown_to_those_who_may_and_that_is_on_record(
    site: QuarantinedSite, api: Api, path: str
) -> None:
    entry_id = identified(site)
    for who in ("nobody", "reader", "writer", "phi-only"):
        refused = api.ask(who, "GET", f"{ENTRIES}/{entry_id}{path}?phi=true")
        assert (refused.status_code, refused.json()["code"]) == (403, "PERMISSION_MISSING")
    assert list(site.triage.audit.everything()) == []
    shown = api.get("officer", f"{ENTRIES}/{entry_id}{path}", params={"phi": "true"})
    assert found_in_text(str(shown)) != []
    if not path:
        assert shown["origin"]["key"] == f"upload/{SITE}/qzname_qzpid4711/1.dcm"
    (item,) = site.triage.audit.everything()
    assert (item["action"], item["by"], item["entry_id"]) == ("phi_viewed", "api:officer", entry_id)
    assert item["listed_at"] == "2026-01-01T00:00:00.000000Z"
    # Without asking for it, the officer sees no more than others.
    assert found_in_text(str(api.get("officer", f"{ENTRIES}/{entry_id}{path}"))) == []
    assert len(list(site.triage.audit.everything())) == 1


def test_a_header_shows_values_of_the_standards_own_and_where_it_stops(
    site: QuarantinedSite, api: Api
) -> None:
    entry_id = identified(site)
    header = api.get("reader", f"{ENTRIES}/{entry_id}/header")
    shown = {each["keyword"]: each["value"] for each in header["elements"] if each["value"] is not None}
    assert (shown["Modality"], shown["Rows"]) == ("CT", "16")
    assert header["stoppedAt"] is not None
    assert "are left" in header["stoppedBecause"]
    assert {each["depth"] for each in header["elements"]} > {0}


def test_a_message_has_no_header(site: QuarantinedSite, api: Api) -> None:
    site.handler.handle("not json", 1)
    (entry,) = site.listed()
    for query in ("", "?phi=true"):
        answer = api.ask("officer", "GET", f"{ENTRIES}/{entry.entry_id}/header{query}")
        assert (answer.status_code, answer.json()["code"]) == (404, "NO_HEADER")


# -- changing


def test_one_entry_is_released(site: QuarantinedSite, api: Api) -> None:
    entry_id = identified(site)
    assert api.post("writer", f"{ENTRIES}/{entry_id}/release") == {"entryId": entry_id, "sent": True}
    assert site.listed() == []
    assert site.stage_of(entry_id) == "released"
    again = api.ask("writer", "POST", f"{ENTRIES}/{entry_id}/release")
    assert (again.status_code, again.json()["code"]) == (404, "NOT_IN_QUARANTINE")
    event = api.ask("writer", "POST", f"{ENTRIES}/event-{'0' * 32}/release")
    assert (event.status_code, event.json()["code"]) == (409, "NOT_RELEASABLE")


def test_requeueing_counts_first_and_sends_then(site: QuarantinedSite, api: Api) -> None:
    ids = [identified(site, number) for number in range(3)]
    site.refuse(9, reason="NOT_DICOM")
    request: dict[str, Any] = {"filter": {"reason": "TRUNCATED"}, "limit": 2}
    assert api.post("writer", "/quarantine/requeue", request) == {
        "dryRun": True, "found": 2, "more": True, "sent": 0, "left": {}, "gone": 0
    }  # fmt: skip
    assert len(site.listed()) == 4
    done = api.post("writer", "/quarantine/requeue", {**request, "dryRun": False})
    assert (done["sent"], done["more"]) == (2, True)
    done = api.post("writer", "/quarantine/requeue", {**request, "dryRun": False})
    assert (done["sent"], done["more"]) == (1, False)
    assert {site.stage_of(each) for each in ids} == {"released"}
    assert [each.reason for each in site.listed()] == ["NOT_DICOM"]


def test_purging_counts_first_and_deletes_then_what_is_old(
    site: QuarantinedSite, api: Api, clock: ManualClock
) -> None:
    ids = []
    for number in range(3):
        ids.append(identified(site, number))
        clock.pass_time(60)
    request = {"filter": {"before": (clock() - timedelta(seconds=60)).isoformat()}}
    assert api.post("writer", "/quarantine/purge", request)["found"] == 2
    assert len(site.listed()) == 3
    done = api.post("writer", "/quarantine/purge", {**request, "dryRun": False})
    assert (done["deleted"], done["more"], done["keptVersions"]) == (2, False, False)
    assert [site.stage_of(each) for each in ids] == ["purged", "purged", "quarantined"]
    (item,) = site.triage.audit.everything()
    assert (item["action"], item["by"]) == ("quarantine_purged", "api:writer")


def test_nothing_is_purged_without_an_age(site: QuarantinedSite, api: Api) -> None:
    identified(site)
    for body in ({}, {"filter": {}}, {"filter": {"reason": "TRUNCATED"}, "dryRun": False}):
        refused = api.ask("writer", "POST", "/quarantine/purge", json=body)
        assert (refused.status_code, refused.json()["code"]) == (422, "INVALID_REQUEST")
    assert len(site.listed()) == 1
