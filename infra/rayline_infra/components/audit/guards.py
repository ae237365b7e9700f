"""GuardDuty looks for threats, IAM Access Analyzer for what outsiders can reach."""

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames
from rayline_infra.scanning.exemptions import ScannerExemption

SCANNER_EXEMPTIONS = (
    ScannerExemption(
        "CKV2_AWS_3",
        "detector",
        "an organisation's delegated administrator enables accounts; a stack enables its own",
    ),
)
# GuardDuty answers with all three, and each update would replace a feature that is declared with fewer.
AGENTS = {
    "EKS_ADDON_MANAGEMENT": "DISABLED",
    "ECS_FARGATE_AGENT_MANAGEMENT": "ENABLED",
    "EC2_AGENT_MANAGEMENT": "DISABLED",
}


class GuardDuty(pulumi.ComponentResource):
    """One detector with protection of objects and of containers at run time; a rule of ours tells of its findings."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:audit:GuardDuty", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        detector = aws.guardduty.Detector(
            "detector", enable=True, finding_publishing_frequency="FIFTEEN_MINUTES", opts=child
        )
        aws.guardduty.DetectorFeature(
            "detector-s3", detector_id=detector.id, name="S3_DATA_EVENTS", status="ENABLED", opts=child
        )
        aws.guardduty.DetectorFeature(
            "detector-runtime",
            detector_id=detector.id,
            name="RUNTIME_MONITORING",
            status="ENABLED",
            additional_configurations=[
                aws.guardduty.DetectorFeatureAdditionalConfigurationArgs(name=name, status=status)
                for name, status in AGENTS.items()
            ],
            opts=child,
        )
        self.register_outputs({})


class AccessAnalyzer(pulumi.ComponentResource):
    """Tells of every resource that somebody outside the account can reach."""

    def __init__(self, name: str, names: EstateNames, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("rayline:audit:AccessAnalyzer", name, None, opts)
        aws.accessanalyzer.Analyzer(
            "analyzer",
            analyzer_name=names.access_analyzer,
            type="ACCOUNT",
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.register_outputs({})
