"""Readers of the ways in: certificates, CloudFront, load balancers, sign-in and firewalls."""

from collections.abc import Iterable
from typing import Any

from rayline_infra.policies.graph import Resource
from rayline_infra.validation.account import Absent, Account, differing, present


def _one(found: Iterable[Any], **wanted: object) -> dict[str, Any]:
    """The first of what AWS lists that has these values."""
    for each in found:
        if all(each.get(name) == value for name, value in wanted.items()):
            return dict(each)
    raise Absent


def _pages(account: Account, service: str, operation: str, member: str, **request: Any) -> Iterable[Any]:
    client = account.client(service)
    if client.can_paginate(operation):
        for page in client.get_paginator(operation).paginate(**request):
            yield from page.get(member, ())
    else:
        yield from getattr(client, operation)(**request).get(member, ())


def certificate(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    acm = account.client("acm", inputs.get("region"))
    # ACM leaves out whatever is not RSA unless it is asked for (ACM API, "ListCertificates").
    wanted = {"Includes": {"keyTypes": [inputs["keyAlgorithm"]]}}
    pages = acm.get_paginator("list_certificates").paginate(**wanted)
    found = _one(
        (each for page in pages for each in page["CertificateSummaryList"]), DomainName=inputs["domainName"]
    )
    return differing(
        acm.describe_certificate(CertificateArn=found["CertificateArn"])["Certificate"], Status="ISSUED"
    )


def distribution(account: Account, resource: Resource) -> Iterable[str]:
    pages = account.client("cloudfront").get_paginator("list_distributions").paginate()
    listed = (each for page in pages for each in page["DistributionList"].get("Items", ()))
    found = _one(listed, Comment=resource.inputs["comment"])
    yield from differing(found, Enabled=True, Status="Deployed")
    if set(found["Aliases"].get("Items", ())) != set(resource.inputs["aliases"]):
        yield "it does not answer for the declared names"


def user_pool(account: Account, resource: Resource) -> Iterable[str]:
    cognito = account.client("cognito-idp")
    pool = cognito.describe_user_pool(UserPoolId=_pool_id(account, resource.inputs["name"]))["UserPool"]
    return differing(
        pool,
        MfaConfiguration=resource.inputs["mfaConfiguration"],
        DeletionProtection=resource.inputs["deletionProtection"],
    )


def user_pool_client(account: Account, resource: Resource) -> Iterable[str]:
    _one(_of_pool(account, "list_user_pool_clients", "UserPoolClients"), ClientName=resource.inputs["name"])
    return ()


def user_group(account: Account, resource: Resource) -> Iterable[str]:
    _one(_of_pool(account, "list_groups", "Groups"), GroupName=resource.inputs["name"])
    return ()


def user_pool_domain(account: Account, resource: Resource) -> Iterable[str]:
    found = account.client("cognito-idp").describe_user_pool_domain(Domain=resource.inputs["domain"])
    if not found.get("DomainDescription"):
        raise Absent
    return ()


def _pool_id(account: Account, name: str) -> str:
    return str(
        _one(_pages(account, "cognito-idp", "list_user_pools", "UserPools", MaxResults=60), Name=name)["Id"]
    )


def _of_pool(account: Account, operation: str, member: str) -> Iterable[Any]:
    (pool,) = account.graph.of_type("aws:cognito/userPool:UserPool")
    return _pages(
        account, "cognito-idp", operation, member, UserPoolId=_pool_id(account, pool.inputs["name"])
    )


def web_acl(account: Account, resource: Resource) -> Iterable[str]:
    inputs = resource.inputs
    waf = account.client("wafv2", inputs.get("region"))
    summary = _one(waf.list_web_acls(Scope=inputs["scope"])["WebACLs"], Name=inputs["name"])
    found = waf.get_web_acl(Name=inputs["name"], Scope=inputs["scope"], Id=summary["Id"])["WebACL"]
    rules = {each["Name"] for each in found["Rules"]}
    if missing := sorted({each["name"] for each in inputs["rules"]} - rules):
        yield f"it has no rule {', '.join(missing)}"


def listener(account: Account, resource: Resource) -> Iterable[str]:
    # arn:…:loadbalancer/app/<name>/<id>
    balancer = str(resource.inputs["loadBalancerArn"]).split("/")[-2]
    elb = account.client("elbv2")
    arn = present(lambda: elb.describe_load_balancers(Names=[balancer]))["LoadBalancers"][0][
        "LoadBalancerArn"
    ]
    found = _one(elb.describe_listeners(LoadBalancerArn=arn)["Listeners"], Port=int(resource.inputs["port"]))
    yield from differing(found, Protocol=resource.inputs["protocol"])
    if "sslPolicy" in resource.inputs:
        yield from differing(found, SslPolicy=resource.inputs["sslPolicy"])


READERS = {
    "aws:acm/certificate:Certificate": certificate,
    "aws:cloudfront/distribution:Distribution": distribution,
    "aws:cognito/userPool:UserPool": user_pool,
    "aws:cognito/userPoolClient:UserPoolClient": user_pool_client,
    "aws:cognito/userGroup:UserGroup": user_group,
    "aws:cognito/userPoolDomain:UserPoolDomain": user_pool_domain,
    "aws:wafv2/webAcl:WebAcl": web_acl,
    "aws:lb/listener:Listener": listener,
}
