"""Types that the program may declare and the local cloud leaves out, each with its reason.

The program still gets their ids and outputs: those that planning invents.
"""

from collections.abc import Mapping

NO_ENDPOINTS = "the local cloud's SageMaker runs pipelines and keeps a registry, and serves no endpoints"
NO_SERVICE = "MiniStack has no {}"

NOT_EMULATED: Mapping[str, str] = {
    "pulumi:providers:aws": (
        "says where AWS is: the local cloud has one account, its clients are the provisioner's own, and the "
        "default tags are left off"
    ),
    "aws:accessanalyzer/analyzer:Analyzer": NO_SERVICE.format("IAM Access Analyzer"),
    "aws:appautoscaling/policy:Policy": NO_SERVICE.format("Application Auto Scaling"),
    "aws:appautoscaling/target:Target": NO_SERVICE.format("Application Auto Scaling"),
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": NO_SERVICE.format("chat applications"),
    "aws:cloudwatch/eventBusPolicy:EventBusPolicy": (
        "MiniStack keeps single grants of a bus and no document, and judges PutEvents by neither"
    ),
    "aws:cloudwatch/queryDefinition:QueryDefinition": "MiniStack's CloudWatch Logs keeps no saved queries",
    "aws:cognito/logDeliveryConfiguration:LogDeliveryConfiguration": "MiniStack's Cognito delivers no logs",
    "aws:cognito/managedLoginBranding:ManagedLoginBranding": "MiniStack's Cognito shows no sign-in pages",
    "aws:costexplorer/anomalyMonitor:AnomalyMonitor": NO_SERVICE.format("Cost Explorer"),
    "aws:costexplorer/anomalySubscription:AnomalySubscription": NO_SERVICE.format("Cost Explorer"),
    "aws:ec2transitgateway/vpcAttachment:VpcAttachment": "MiniStack has no transit gateways",
    "aws:guardduty/detector:Detector": NO_SERVICE.format("GuardDuty"),
    "aws:guardduty/detectorFeature:DetectorFeature": NO_SERVICE.format("GuardDuty"),
    "aws:route53/record:Record": "the zone is the site's own, and the local cloud does not have it",
    "aws:sagemaker/endpoint:Endpoint": NO_ENDPOINTS,
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": NO_ENDPOINTS,
    "aws:sagemaker/model:Model": NO_ENDPOINTS,
    "aws:sagemaker/modelPackageGroupPolicy:ModelPackageGroupPolicy": (
        "the local SageMaker has one account, and judges by the policies of roles"
    ),
    "aws:wafv2/webAclLoggingConfiguration:WebAclLoggingConfiguration": "MiniStack's WAF writes no logs",
}
