"""Whatever somebody sends is answered, and never by an error of the API's own."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from http_api.conftest import Api, authenticator
from hypothesis import given, settings
from hypothesis import strategies as st
from support.in_memory_cloud.cloud import InMemoryCloud
from support.manual_clock import ManualClock
from support.processor_estate import ProcessorEstate
from support.quarantined_site import QuarantinedSite

from rayline.http_api.app import create_app
from rayline.http_api.limits import Rate
from rayline.http_api.problems import Problem
from rayline.testing import image_content

PARAMETERS = ("stage", "reason", "study", "series", "since", "before", "limit", "cursor", "by", "phi")
MOMENTS = st.one_of(
    st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat()),
    st.sampled_from(
        ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00", "1e9", "0", "-1", "nan"]
    ),
)
VALUES = st.one_of(
    st.text(max_size=80), MOMENTS, st.integers().map(str), st.sampled_from(["reason", "true", "100"])
)
QUERIES = st.dictionaries(st.sampled_from(PARAMETERS), VALUES, max_size=5)
IDS = st.one_of(
    st.text(max_size=60).map(lambda text: quote(text, safe="", errors="surrogatepass")),
    st.from_regex(r"(message-|event-)?[0-9a-f]{32}", fullmatch=True),
    st.just("ENTRY"),
)
FIELDS = st.dictionaries(
    st.sampled_from(["stage", "reason", "study", "series", "since", "before", "odd"]),
    st.one_of(st.none(), VALUES, st.integers(), st.lists(st.text(max_size=5), max_size=2)),
    max_size=4,
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "filter": st.one_of(FIELDS, VALUES),
        "dryRun": st.one_of(st.booleans(), VALUES),
        "limit": st.integers(),
    },
)
BODIES = st.one_of(REQUESTS.map(lambda document: json.dumps(document).encode()), st.binary(max_size=200))
ENDINGS = st.sampled_from(["", "/header", "/release", "/nothing"])
PATHS = st.one_of(
    st.sampled_from(["entries", "groups", "requeue", "purge", ""]),
    st.tuples(IDS, ENDINGS).map(lambda parts: f"entries/{parts[0]}{parts[1]}"),
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Api, str]:
    """An API with a few entries, and the id of one; what is asked may change them."""
    clock = ManualClock()
    folder: Path = tmp_path_factory.mktemp("any")
    site = QuarantinedSite(ProcessorEstate(InMemoryCloud(clock), folder), clock)
    entry_id = site.send(image_content()[:-10])
    for number in range(5):
        site.refuse(number)
        clock.pass_time(60)
    site.handler.handle("not json", 1)
    return Api(create_app(site.triage, authenticator(clock), rate=Rate(1e9, 1e9))), entry_id


@settings(max_examples=400)
@given(
    st.sampled_from(["writer", "officer", "reader", "nobody", None]),
    st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    PATHS,
    QUERIES,
    BODIES,
)
def test_any_request_is_answered(
    served: tuple[Api, str], who: str | None, method: str, path: str, query: dict[str, str], body: bytes
) -> None:
    api, entry_id = served
    more: dict[str, Any] = {"params": query}
    if method == "POST":
        more |= {"content": body, "headers": {"Content-Type": "application/json"}}
    try:
        answer = api.ask(who, method, f"/quarantine/{path.replace('ENTRY', entry_id)}", **more)
    except UnicodeEncodeError:
        return  # no client can send it
    assert answer.status_code in (200, 307, 401, 403, 404, 405, 409, 422), answer.text
    assert who is not None or answer.status_code == 401
    if answer.status_code >= 400 and method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert Problem.model_validate(answer.json()).status == answer.status_code
    assert answer.headers["cache-control"] == "no-store"
