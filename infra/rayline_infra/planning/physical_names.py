"""What AWS calls a resource."""

from collections.abc import Mapping

from rayline_infra.policies.graph import Resource

NAMED_BY: Mapping[str, str] = {
    "aws:accessanalyzer/analyzer:Analyzer": "analyzerName",
    "aws:acm/certificate:Certificate": "domainName",
    "aws:chatbot/slackChannelConfiguration:SlackChannelConfiguration": "configurationName",
    "aws:chatbot/teamsChannelConfiguration:TeamsChannelConfiguration": "configurationName",
    "aws:cloudwatch/compositeAlarm:CompositeAlarm": "alarmName",
    "aws:cloudwatch/dashboard:Dashboard": "dashboardName",
    "aws:cloudwatch/logResourcePolicy:LogResourcePolicy": "policyName",
    "aws:cognito/identityProvider:IdentityProvider": "providerName",
    "aws:cognito/userPoolDomain:UserPoolDomain": "domain",
    "aws:ecs/taskDefinition:TaskDefinition": "family",
    "aws:s3/bucket:Bucket": "bucket",
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": "modelPackageGroupName",
    "aws:sagemaker/pipeline:Pipeline": "pipelineName",
    "aws:xray/group:Group": "groupName",
    "aws:xray/samplingRule:SamplingRule": "ruleName",
}
"""The input that is the name, where it is not called ``name``."""


def physical_name(resource: Resource) -> str:
    """The name that the program gives a resource in AWS; its id where it has none."""
    return str(resource.inputs.get(NAMED_BY.get(resource.type, "name")) or resource.id)
