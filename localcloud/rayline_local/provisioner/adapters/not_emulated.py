"""Types that the program may declare and the local cloud leaves out, each with its reason.

The program still gets their ids and outputs: those that planning invents.
"""

from collections.abc import Mapping

COMING = "its adapter is being written"
NO_SERVICE = "MiniStack has no {}"

NOT_EMULATED: Mapping[str, str] = {
    "pulumi:providers:aws": (
        "says where AWS is: the local cloud has one account, its clients are the provisioner's own, and the "
        "default tags are left off"
    ),
    "aws:accessanalyzer/analyzer:Analyzer": NO_SERVICE.format("IAM Access Analyzer"),
    "aws:appautoscaling/policy:Policy": NO_SERVICE.format("Application Auto Scaling"),
    "aws:appautoscaling/scheduledAction:ScheduledAction": NO_SERVICE.format("Application Auto Scaling"),
    "aws:appautoscaling/target:Target": NO_SERVICE.format("Application Auto Scaling"),
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": NO_SERVICE.format("chat applications"),
    "aws:chatbot/teamsChannelConfiguration:TeamsChannelConfiguration": NO_SERVICE.format("chat applications"),
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": (
        "MiniStack keeps single grants of a bus and no document, and judges PutEvents by neither"
    ),
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": NO_SERVICE.format("Cost Explorer"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": NO_SERVICE.format("Cost Explorer"),
    "aws:guardduty/detector:Detector": NO_SERVICE.format("GuardDuty"),
    "aws:guardduty/detectorFeature:DetectorFeature": NO_SERVICE.format("GuardDuty"),
    "aws:xray/group:Group": NO_SERVICE.format("X-Ray"),
    "aws:xray/samplingRule:SamplingRule": NO_SERVICE.format("X-Ray"),
    **dict.fromkeys(
        (
            "aws:cloudwatch/queryDefinition:QueryDefinition",
            "aws:ec2/vpnGatewayRoutePropagation:VpnGatewayRoutePropagation",
            "aws:ec2transitgateway/vpcAttachment:VpcAttachment",
            "aws:ecr/registryScanningConfiguration:RegistryScanningConfiguration",
            "aws:kms/replicaKey:ReplicaKey",
            "aws:resourcegroups/group:Group",
            "aws:s3/bucketIntelligentTieringConfiguration:BucketIntelligentTieringConfiguration",
            "aws:s3/bucketMetric:BucketMetric",
            "aws:sagemaker/dataQualityJobDefinition:DataQualityJobDefinition",
            "aws:sagemaker/endpoint:Endpoint",
            "aws:sagemaker/endpointConfiguration:EndpointConfiguration",
            "aws:sagemaker/model:Model",
            "aws:sagemaker/monitoringSchedule:MonitoringSchedule",
            "aws:sqs/redriveAllowPolicy:RedriveAllowPolicy",
            "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration",
        ),
        COMING,
    ),
}
