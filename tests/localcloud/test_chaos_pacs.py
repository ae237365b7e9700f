"""The chaos run's PACS, dcmtk's or pynetdicom's, stores each arrival, and misbehaves as told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rayline.plugin import Destination, RetryableError
from rayline_local.chaos import pacs
from rayline_local.chaos.inputs import fingerprint
from rayline_local.samples import ct_series
from rayline_pacs_forward.scu import Outgoing, StoreClient, Timeouts

(SAMPLE,) = ct_series(seed=3, slices=1)


@pytest.fixture(params=["dcmtk", "pynetdicom"])
def scp(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[pacs.Pacs]:
    """A PACS that is down."""
    if request.param == "pynetdicom":
        monkeypatch.setattr(pacs, "DCMTK_STORESCP", tmp_path / "absent")
    else:
        request.getfixturevalue("dcmtk_storescp")  # installs it, or says why the test cannot run
    one = pacs.Pacs(tmp_path / "stored", tmp_path / "pacs.log")
    yield one
    one.stop()


def send(scp: pacs.Pacs) -> None:
    destination = Destination("chaos", pacs.AE_TITLE, "127.0.0.1", scp.port, "deidentified")
    StoreClient(destination, "RAYLINE", Timeouts(5, 20, 20)).send([Outgoing.read(SAMPLE.content)])


def test_two_sends_are_two_arrivals_of_one_content(scp: pacs.Pacs) -> None:
    scp.be("up")
    send(scp)
    send(scp)
    arrivals = list(scp.arrivals())
    assert [each.sop_instance_uid for each in arrivals] == [SAMPLE.sop_instance_uid] * 2
    assert {each.fingerprint for each in arrivals} == {fingerprint(SAMPLE.content)}
    assert len({each.digest for each in arrivals}) == 1


@pytest.mark.parametrize("mode", ["down", "refuses", "breaks off"])
def test_nothing_is_stored_while_it_misbehaves_and_all_is_well_after(
    scp: pacs.Pacs, mode: pacs.PacsMode
) -> None:
    scp.be(mode)
    with pytest.raises(RetryableError):
        send(scp)
    assert list(scp.arrivals()) == []
    scp.be("up")
    send(scp)
    assert len(list(scp.arrivals())) == 1


def test_what_stalls_is_stored_all_the_same(scp: pacs.Pacs) -> None:
    scp.be("stalls")
    send(scp)
    assert len(list(scp.arrivals())) == 1
