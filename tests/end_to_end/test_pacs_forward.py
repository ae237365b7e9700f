"""A site with a PACS: what is imported arrives there de-identified, all of it, once, and late if the PACS was down."""

from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
import yaml
from support.dcmtk import free_port, storescp
from support.own_estate import OwnEstate, accepted, eventually, frame_checksum

from rayline_local.samples import generate

GOOD = accepted(generate(seed=31, patients=4, ct_slices=5).samples)
NAMED = ("PatientName", "PatientID", "AccessionNumber", "SOPInstanceUID", "StudyInstanceUID")


def write_profile(repository: Path, folder: Path, port: int) -> None:
    """The local stack's site profile with one destination, below the processor's working folder."""
    profile = yaml.safe_load((repository / "config/site/local.yaml").read_text())
    (forward,) = [each for each in profile["plugins"] if each["name"] == "pacs_forward"]
    forward["settings"] = {
        "destinations": [{"name": "research", "ae_title": "RESEARCH", "host": "127.0.0.1", "port": port}],
        "connect_seconds": 2,
    }
    path = folder / "config/site/with-pacs.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(profile))


@pytest.fixture(scope="module")
def forwarded(
    dcmtk_storescp: str, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[OwnEstate, Path]]:
    """An estate that imported everything while its PACS was down, and forwarded it afterwards."""
    folder, port = tmp_path_factory.mktemp("forward"), free_port()
    write_profile(repository, folder, port)
    estate = OwnEstate(folder, batchQuietSeconds="1", siteProfile="config/site/with-pacs.yaml")
    with estate, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        estate.faults(duplicate_events=True)
        estate.processor.start()
        estate.upload(GOOD)
        eventually(lambda: estate.everything_settled(len(GOOD)), "all imported")
        eventually(lambda: "waiting" in forwarding(estate), "forwarding waits for the PACS")
        # A name for each arrival, so that a second copy of an instance would be seen.
        with storescp(dcmtk_storescp, port, folder / "received", "--unique-filenames"):
            eventually(lambda: forwarding(estate) == {"done"}, "all forwarded")
            eventually(estate.queue_is_empty, "the queue is empty")
        yield estate, folder / "received"


def forwarding(estate: OwnEstate) -> set[str]:
    """How forwarding stands, over all ingested events."""
    return {
        item["on_ingested:pacs_forward"]["state"]
        for item in estate.account.items("effects")
        if "on_ingested:pacs_forward" in item
    }


def test_every_image_arrives_once(forwarded: tuple[OwnEstate, Path]) -> None:
    arrived = [path.read_bytes() for path in forwarded[1].iterdir()]
    assert Counter(map(frame_checksum, arrived)) == Counter(frame_checksum(each.content) for each in GOOD)
    uids = [str(pydicom.dcmread(BytesIO(content)).SOPInstanceUID) for content in arrived]
    imported = [uid for image_set in forwarded[0].account.image_sets() for uid in image_set.instances]
    assert sorted(uids) == sorted(imported)


def test_what_arrives_names_nobody(forwarded: tuple[OwnEstate, Path]) -> None:
    identifying = set()
    for sample in GOOD:
        dataset = pydicom.dcmread(BytesIO(sample.content))
        identifying |= {str(dataset[name].value).encode() for name in NAMED}
    for path in forwarded[1].iterdir():
        content = path.read_bytes()
        assert not [value for value in identifying if value in content]
        assert pydicom.dcmread(BytesIO(content)).PatientIdentityRemoved == "YES"


def test_a_pacs_that_is_down_keeps_no_image_from_healthimaging(forwarded: tuple[OwnEstate, Path]) -> None:
    log = forwarded[0].log_path.read_text()
    assert '"forwarding_failed"' in log
    assert forwarded[0].account.stages() == {"imported": len(GOOD)}
