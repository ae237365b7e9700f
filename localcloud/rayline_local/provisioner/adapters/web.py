"""What stands between the internet and the load balancers: certificates and firewalls."""

from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Finder, Found, Recipe, call
from rayline_local.provisioner.adapters.requests import request_for


def _certificate(acm: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    arn = resource_id
    for each in acm.list_certificates()["CertificateSummaryList"] if arn is None else ():
        if each["DomainName"] == inputs["domainName"]:
            arn = each["CertificateArn"]
    return dict(acm.describe_certificate(CertificateArn=arn)["Certificate"]) if arn else None


def _validation_options(acm: Any, certificate: Found) -> dict[str, Any]:
    return {
        "domainValidationOptions": [
            {
                "domainName": each["DomainName"],
                "resourceRecordName": each["ResourceRecord"]["Name"],
                "resourceRecordType": each["ResourceRecord"]["Type"],
                "resourceRecordValue": each["ResourceRecord"]["Value"],
            }
            for each in certificate["DomainValidationOptions"]
            if "ResourceRecord" in each
        ]
    }


CERTIFICATE = Recipe(
    service="acm",
    find=_certificate,
    identity="CertificateArn",
    create="RequestCertificate",
    delete=("DeleteCertificate", "CertificateArn"),
    outputs={"arn": "{id}"},
    more_outputs=_validation_options,
    replaced_by=frozenset({"domainName", "subjectAlternativeNames", "validationMethod", "keyAlgorithm"}),
)


def _validation(acm: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = acm.describe_certificate(CertificateArn=inputs["certificateArn"])["Certificate"]
    return dict(found) if found["Status"] == "ISSUED" else None


CERTIFICATE_VALIDATION = Recipe(
    service="acm",
    find=_validation,
    identity="CertificateArn",
    create="",
    delete=lambda acm, arn, inputs: None,  # it is the waiting for a certificate, nothing of its own
    replaced_by=frozenset({"certificateArn"}),
)


def _firewall(kind: str) -> Finder:
    def find(waf: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        scope = inputs["scope"]
        for each in call(waf, f"List{kind}s", {"Scope": scope})[f"{kind}s"]:
            if each["Id"] == resource_id or (resource_id is None and each["Name"] == inputs["name"]):
                return dict(each)
        return None

    return find


def _put_firewall(operation: str) -> Any:
    """Create or update; WAF wants the lock token of what it last told."""

    def put(waf: Any, inputs: Inputs, found: Found | None = None) -> Any:
        request = request_for(waf, operation, inputs)
        if found is not None:
            request.update(Id=found["Id"], LockToken=found["LockToken"], Name=found["Name"])
        return call(waf, operation, request)

    return put


def _delete_firewall(kind: str) -> Any:
    def delete(waf: Any, resource_id: str, inputs: Inputs) -> None:
        found = _firewall(kind)(waf, inputs, resource_id)
        assert found is not None
        known = {"Name": found["Name"], "Id": found["Id"], "LockToken": found["LockToken"]}
        call(waf, f"Delete{kind}", {**known, "Scope": inputs["scope"]})

    return delete


def _firewall_recipe(kind: str) -> Recipe:
    return Recipe(
        service="wafv2",
        find=_firewall(kind),
        identity="Id",
        create=lambda waf, inputs: _put_firewall(f"Create{kind}")(waf, inputs),
        update=lambda waf, found, inputs: _put_firewall(f"Update{kind}")(waf, inputs, found),
        delete=_delete_firewall(kind),
        outputs={"arn": "{ARN}"},
        replaced_by=frozenset({"name", "scope"}),
    )


WEB_ACL = _firewall_recipe("WebACL")


def _web_acl_association(waf: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
    found = waf.get_web_acl_for_resource(ResourceArn=inputs["resourceArn"]).get("WebACL")
    return dict(found) if found and found["ARN"] == inputs["webAclArn"] else None


WEB_ACL_ASSOCIATION = Recipe(
    service="wafv2",
    find=_web_acl_association,
    identity="{webAclArn},{resourceArn}",
    create="AssociateWebACL",
    delete=lambda waf, resource_id, inputs: waf.disassociate_web_acl(ResourceArn=inputs["resourceArn"]),
    replaced_by=frozenset({"webAclArn", "resourceArn"}),
)
