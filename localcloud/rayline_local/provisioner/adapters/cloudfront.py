"""CloudFront distributions, their policies and origins."""

from collections.abc import Callable, Mapping
from typing import Any

from rayline_local.provisioner.adapters.adapter import Inputs
from rayline_local.provisioner.adapters.recipe import Found, Recipe, call
from rayline_local.provisioner.adapters.requests import request_for

Build = Callable[[Any, str, Inputs], dict[str, Any]]


def _configured(
    kind: str,
    listing: tuple[str, str, Callable[[Mapping[str, Any]], Any]],
    configuration: str,
    build: Build,
    outputs: Mapping[str, str],
    replaced_by: frozenset[str] = frozenset(),
) -> Recipe:
    """What CloudFront creates from a configuration, and changes and deletes by the ETag that it last told.

    Args:
        listing: the operation, the member of its answer, and what makes an item's name.
        build: the configuration for an operation.
    """
    list_operation, items, name_of = listing

    def find(cloudfront: Any, inputs: Inputs, resource_id: str | None) -> Found | None:
        known_id = resource_id
        if known_id is None:
            wanted = build(cloudfront, f"Create{kind}", inputs)
            for each in call(cloudfront, list_operation, {})[items].get("Items") or ():
                if name_of(each) == name_of(wanted):
                    known_id = each.get("Id") or each[kind]["Id"]
        if known_id is None:
            return None
        answer = call(cloudfront, f"Get{kind}", {"Id": known_id})
        return {**answer[kind], "ETag": answer["ETag"]}

    def create(cloudfront: Any, inputs: Inputs) -> Any:
        operation = f"Create{kind}"
        return call(cloudfront, operation, {configuration: build(cloudfront, operation, inputs)})

    def update(cloudfront: Any, found: Found, inputs: Inputs) -> None:
        operation = f"Update{kind}"
        call(
            cloudfront,
            operation,
            {
                configuration: build(cloudfront, operation, inputs),
                "Id": found["Id"],
                "IfMatch": found["ETag"],
            },
        )

    def delete(cloudfront: Any, resource_id: str, inputs: Inputs) -> None:
        found = find(cloudfront, inputs, resource_id)
        if found is not None and kind == "Distribution":
            update(cloudfront, found, {**inputs, "enabled": False})
            found = find(cloudfront, inputs, resource_id)
        if found is not None:
            call(cloudfront, f"Delete{kind}", {"Id": resource_id, "IfMatch": found["ETag"]})

    return Recipe(
        service="cloudfront",
        find=find,
        identity="Id",
        create=create,
        update=update,
        delete=delete,
        outputs={"etag": "{ETag}", **outputs},
        replaced_by=replaced_by,
    )


def _shaped(configuration: str) -> Build:
    """The configuration with the inputs' own names."""

    def build(cloudfront: Any, operation: str, inputs: Inputs) -> dict[str, Any]:
        made: dict[str, Any] = request_for(cloudfront, operation, {configuration: inputs})[configuration]
        return made

    return build


ACCESS_CONTROL = _configured(
    "OriginAccessControl",
    ("ListOriginAccessControls", "OriginAccessControlList", lambda each: each["Name"]),
    "OriginAccessControlConfig",
    _shaped("OriginAccessControlConfig"),
    {"arn": "arn:aws:cloudfront::{account}:origin-access-control/{id}"},
)


def _policy_name(member: str) -> Callable[[Mapping[str, Any]], Any]:
    def name(each: Mapping[str, Any]) -> Any:
        policy = each.get(member, each)
        return policy.get(f"{member}Config", policy)["Name"]

    return name


RESPONSE_HEADERS_POLICY = _configured(
    "ResponseHeadersPolicy",
    ("ListResponseHeadersPolicies", "ResponseHeadersPolicyList", _policy_name("ResponseHeadersPolicy")),
    "ResponseHeadersPolicyConfig",
    _shaped("ResponseHeadersPolicyConfig"),
    {"arn": "arn:aws:cloudfront::{account}:response-headers-policy/{id}"},
)


def _vpc_origin(cloudfront: Any, operation: str, inputs: Inputs) -> dict[str, Any]:
    endpoint = inputs["vpcOriginEndpointConfig"]
    made: dict[str, Any] = request_for(cloudfront, operation, {"vpcOriginEndpointConfig": endpoint})[
        "VpcOriginEndpointConfig"
    ]
    return made


VPC_ORIGIN = _configured(
    "VpcOrigin",
    ("ListVpcOrigins", "VpcOriginList", lambda each: each["Name"]),
    "VpcOriginEndpointConfig",
    _vpc_origin,
    {"arn": "{Arn}"},
)


def _find_function(cloudfront: Any, inputs: Inputs, resource_id: str | None) -> Found:
    name = resource_id or inputs["name"]
    answer = call(cloudfront, "DescribeFunction", {"Name": name, "Stage": "DEVELOPMENT"})
    return {**answer["FunctionSummary"], "ETag": answer["ETag"]}


def _function(inputs: Inputs) -> dict[str, Any]:
    configuration = {"Comment": inputs.get("comment", ""), "Runtime": inputs["runtime"]}
    return {
        "Name": inputs["name"],
        "FunctionConfig": configuration,
        "FunctionCode": str(inputs["code"]).encode(),
    }


def _update_function(cloudfront: Any, found: Found, inputs: Inputs) -> None:
    call(cloudfront, "UpdateFunction", {**_function(inputs), "IfMatch": found["ETag"]})


def _publish_function(cloudfront: Any, found: Found, inputs: Inputs) -> None:
    if inputs.get("publish", True):
        latest = _find_function(cloudfront, inputs, None)
        call(cloudfront, "PublishFunction", {"Name": inputs["name"], "IfMatch": latest["ETag"]})


def _delete_function(cloudfront: Any, resource_id: str, inputs: Inputs) -> None:
    found = _find_function(cloudfront, inputs, resource_id)
    call(cloudfront, "DeleteFunction", {"Name": resource_id, "IfMatch": found["ETag"]})


FUNCTION = Recipe(
    service="cloudfront",
    find=_find_function,
    identity="Name",
    create=lambda cloudfront, inputs: call(cloudfront, "CreateFunction", _function(inputs))[
        "FunctionSummary"
    ],
    update=_update_function,
    settle=_publish_function,
    delete=_delete_function,
    outputs={"arn": "arn:aws:cloudfront::{account}:function/{id}", "etag": "{ETag}"},
    replaced_by=frozenset({"name"}),
)


def _distribution(cloudfront: Any, operation: str, inputs: Inputs) -> dict[str, Any]:
    given = dict(inputs)
    given["originGroups"] = given.get("originGroups") or []
    given["cacheBehaviors"] = given.pop("orderedCacheBehaviors", [])
    # A distribution has no name: what tells it apart is the reference that made it.
    given["callerReference"] = inputs.get("comment") or inputs["origins"][0]["originId"]
    given["comment"] = given.get("comment", "")
    given["logging"] = given.pop("loggingConfig", None)
    if given["logging"]:
        given["logging"] = {"enabled": True, "prefix": "", **given["logging"]}
    given["origins"] = [_origin(each) for each in inputs["origins"]]
    given["defaultCacheBehavior"] = _behavior(inputs["defaultCacheBehavior"])
    given["cacheBehaviors"] = [_behavior(each) for each in given["cacheBehaviors"]]
    geography = (given.get("restrictions") or {}).get("geoRestriction") or {"restrictionType": "none"}
    given["restrictions"] = {"geoRestriction": {**geography, "items": geography.get("locations") or []}}
    errors = [
        {name: str(value) if name == "responseCode" else value for name, value in each.items()}
        for each in given.get("customErrorResponses") or ()
    ]
    given["customErrorResponses"] = errors
    given["aliases"] = list(given.get("aliases") or ())
    given["webACLId"] = given.pop("webAclId", "")
    return _shaped("DistributionConfig")(cloudfront, operation, given)


def _origin(origin: Inputs) -> dict[str, Any]:
    given = {**origin, "id": origin["originId"], "originPath": origin.get("originPath", "")}
    given["customHeaders"] = [
        {"headerName": each["name"], "headerValue": each["value"]}
        for each in origin.get("customHeaders") or ()
    ]
    if "originAccessControlId" in origin:
        given["s3OriginConfig"] = {"originAccessIdentity": ""}
    return given


def _behavior(behavior: Inputs) -> dict[str, Any]:
    cached = behavior.get("cachedMethods") or ["GET", "HEAD"]
    allowed = list(behavior["allowedMethods"])
    return {
        **{
            name: value for name, value in behavior.items() if name not in ("allowedMethods", "cachedMethods")
        },
        "allowedMethods": {
            "items": allowed,
            "cachedMethods": list(cached),
        },
    }


DISTRIBUTION = _configured(
    "Distribution",
    ("ListDistributions", "DistributionList", lambda each: each["Comment"]),
    "DistributionConfig",
    _distribution,
    {
        "arn": "{ARN}",
        "domainName": "{DomainName}",
        "status": "{Status}",
        "hostedZoneId": "Z2FDTNDATAQYW2",
    },
)
