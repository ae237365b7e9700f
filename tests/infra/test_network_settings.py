"""Addresses are checked element by element, before anything is built on them."""

import json
from pathlib import Path

import pulumi
import pytest
import yaml

from rayline.errors import ConfigurationError
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
        hospitalCidrs='["10.200.0.0/16", "192.168.4.0/24"]',
        pacsPorts="[104]",
    )
