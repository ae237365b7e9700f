"""The reconciler: each kind of gap made for real, found, repaired, and gone on the second run."""

from pathlib import Path

import pytest
from support.local_cloud import LocalCloud
from support.processor_estate import SITE
from support.reconciled_site import EXECUTION, ReconciledSite

from rayline.events import Evaluated, Trained


@pytest.fixture
def site(local_cloud: LocalCloud, tmp_path: Path) -> ReconciledSite:
    return ReconciledSite(local_cloud, tmp_path)


def train(site: ReconciledSite) -> tuple[Trained, Evaluated]:
    """An execution that has ended, whose messages did not come yet."""
    site.sagemaker.put(EXECUTION, "Failed", train="Failed", at=site.clock.now)
    common = {"site": SITE, "occurred_at": site.clock.now, "pipeline_execution_arn": EXECUTION}
    return (
        Trained(**common, step_name="Train", step_status="Failed"),
        Evaluated(**common, status="Failed"),
    )


def test_a_healthy_site_has_no_gap(site: ReconciledSite) -> None:
    image_set_id = site.imported()
    site.handle(site.upload("no-image", b"no DICOM"))
    duplicate = site.upload(
        "again",
        site.estate.s3.get_object(Bucket=site.estate.settings.uploads_bucket, Key="upload/image")[
            "Body"
        ].read(),
    )
    site.handle(duplicate)
    site.services.batches.seal_current()
    for event in train(site):
        site.handle(event)
    for repair in (False, True):
        report = site.reconcile(repair=repair)
        assert report.gaps == []
        assert report.found == 0
    assert report.stages["received"].looked_at == 3
