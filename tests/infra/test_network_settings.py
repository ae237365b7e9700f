"""Addresses are checked element by element, before anything is built on them."""

import json
from collections import Counter
from pathlib import Path

import pulumi
import pytest
import yaml

from rayline.errors import ConfigurationError
from rayline_infra.planning import plan
from rayline_infra.policies.openings import openings
from rayline_infra.settings import load_stack_settings

ROOT = Path(__file__).parents[2]


def load(monkeypatch: pytest.MonkeyPatch, **changed: str) -> None:
    document = yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"]
    settings = {key: each if isinstance(each, str) else json.dumps(each) for key, each in document.items()}
    monkeypatch.setattr(pulumi, "get_stack", lambda: "prod")
    overrides = {f"rayline:{name}": value for name, value in changed.items()}
    assert set(overrides) <= set(settings)
    pulumi.runtime.set_all_config({**settings, **overrides})
    load_stack_settings()


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({"vpcCidr": "10.0.0.0"}, "vpcCidr", "overlap|does not lie|/16 to /28"),
        ({"vpcCidr": "10.0.0.0/33"}, "vpcCidr", "no network"),
        ({"vpcCidr": "10.0.0.1/16"}, "vpcCidr", "host bits"),
        ({"vpcCidr": "10.0.0.0/8"}, "vpcCidr", "/16 to /28"),
        ({"privateCidrs": '["10.0.10.0/24", "10.0.20.0/24", "ten"]'}, "privateCidrs", "ten is no network"),
        (
            {"privateCidrs": '["10.0.10.0/24", "10.0.20.0/24", "10.1.30.0/24"]'},
            "privateCidrs",
            "10.1.30.0/24 does not lie in vpcCidr",
        ),
        (
            {"privateCidrs": '["10.0.10.0/23", "10.0.11.0/24", "10.0.30.0/24"]'},
            "privateCidrs",
            "10.0.11.0/24 overlaps 10.0.10.0/23",
        ),
        (
            {"publicCidrs": '["10.0.1.0/24", "10.0.10.128/25"]'},
            "privateCidrs",
            "10.0.10.0/24 overlaps 10.0.10.128/25",
        ),
        (
            {"privateCidrs": '["10.0.10.0/29", "10.0.20.0/24", "10.0.30.0/24"]'},
            "privateCidrs",
            "10.0.10.0/29 is not of /16 to /28",
        ),
        ({"privateCidrs": '["10.0.10.0/24", "10.0.20.0/24"]'}, "privateCidrs", "each of availabilityZones"),
        (
            {"availabilityZones": '["us-east-1a", "us-east-1a"]'},
            "availabilityZones",
            "twice",
        ),
        ({"publicCidrs": '["10.0.1.0/24"]', "natGateways": "2"}, "natGateways", "publicCidrs"),
        ({"hospitalCidrs": '["10.0.200.0/24"]'}, "hospitalCidrs", "overlaps vpcCidr"),
        ({"hospitalCidrs": '["0.0.0.0/0"]'}, "hospitalCidrs", "the internet"),
        ({"hospitalCidrs": '["10.200.0.0"]', "hospitalAttachment": "vpn"}, "customerGatewayIp", "is vpn"),
        ({"customerGatewayIp": "203.0.113.300"}, "customerGatewayIp", "no address"),
        ({"pacsPorts": "[104, 0]"}, "pacsPorts", "between 1 and 65535"),
        ({"pacsPorts": "[104.5]"}, "pacsPorts", "integer"),
        ({"hospitalAttachment": "transit-gateway"}, "transitGatewayId", "is transit-gateway"),
        (
            # VPC quotas: 60 inbound rules a group, of which CloudFront's prefix list takes 55.
            {"hospitalCidrs": json.dumps([f"10.20{each}.0.0/16" for each in range(6)])},
            "hospitalCidrs",
            "6 are more than the 5 rules that CloudFront leaves",
        ),
        (
            # 5 x 12 = 60 outbound rules, and three to endpoints.
            {
                "hospitalCidrs": json.dumps([f"10.20{each}.0.0/16" for each in range(5)]),
                "pacsPorts": json.dumps(list(range(104, 116))),
            },
            "pacsPorts",
            "at most 57 rules",
        ),
        ({"endpointZones": "4"}, "endpointZones", "less than or equal to 3"),
    ],
)
def test_a_wrong_address_is_named_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], name: str, reason: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"rayline:{name} is wrong: .*({reason})"):
        load(monkeypatch, **changed)


def test_a_hospital_with_good_addresses_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    load(
        monkeypatch,
        hospitalAttachment="vpn",
        customerGatewayIp="203.0.113.10",
        hospitalCidrs=json.dumps([*(f"10.20{each}.0.0/16" for each in range(4)), "192.168.4.0/24"]),
        pacsPorts=json.dumps(list(range(104, 115))),
    )


def test_as_many_networks_as_the_settings_allow_fit_into_security_groups() -> None:
    networks = [f"10.20{each}.0.0/16" for each in range(5)]
    graph = plan(
        "prod",
        overrides={
            "rayline:natGateways": "2",
            "rayline:hospitalAttachment": "vpn",
            "rayline:customerGatewayIp": "203.0.113.10",
            "rayline:hospitalCidrs": json.dumps(networks),
            "rayline:pacsPorts": json.dumps(list(range(104, 115))),
        },
    )
    rules: Counter[tuple[str, str]] = Counter()
    for rule in openings(graph):
        # An AWS-managed prefix list counts with its weight, 55 for CloudFront's (VPC guide); a gateway endpoint's, 1.
        rules[rule.group_id, rule.direction] += 55 if rule.peers == ("pl-3b927c52",) else 1
    assert max(rules.values()) == 60
