"""What a stack costs: every type accounted for, lines checked by hand against the price pages, and what moves them."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from rayline.errors import ConfigurationError
from rayline_infra.commands import cost as cost_command
from rayline_infra.costing import Estimate, Usage, estimate, load_prices
from rayline_infra.costing import savings as savings_module
from rayline_infra.costing.compute import spot_tasks
from rayline_infra.costing.estimate import require_known
from rayline_infra.costing.savings import CHANGES, Change, savings
from rayline_infra.costing.storing import aged_months
from rayline_infra.costing.types import FREE, NOT_PRICED, PRICED
from rayline_infra.planning import plan
from rayline_infra.planning.outputs import RULES
from rayline_infra.policies.graph import Graph, Resource

ROOT = Path(__file__).parents[2]
PRICES = load_prices("us-east-1")
DEV = Usage(scans_per_month=10, trainings_per_month=4)
PROD = Usage(scans_per_month=100, trainings_per_month=16)
USAGE = {"local": DEV, "dev": DEV, "prod": PROD}
# One changed setting for each kind of thing that is paid for; each shows in items of its own.
CHANGED = {
    "rayline:endpointZones": "2",
    "rayline:natGateways": "1",
    "rayline:trainingSpot": "false",
    "rayline:processorMemoryMib": "20480",
    "rayline:hospitalAttachment": "vpn",
    "rayline:customerGatewayIp": "203.0.113.10",
    "rayline:hospitalCidrs": '["10.200.0.0/16"]',
    "rayline:glacierDays": "300",
    "rayline:logRetentionDays": "7",
}


@pytest.fixture(scope="session")
def bill_of(graph_of: Callable[[str], Graph]) -> Callable[[str], Estimate]:
    """The bill of a stack as it stands."""
    return cache(lambda stack: estimate(graph_of(stack), USAGE[stack], PRICES))


@pytest.fixture(scope="session")
def changed_bill() -> Estimate:
    """Production's bill with the changed settings."""
    return estimate(plan("prod", overrides=CHANGED), PROD, PRICES)


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    cost_command.register(app)
    return app


def item(bill: Estimate, service: str, what: str) -> float:
    return bill.by_item().get((service, what), 0.0)


def of_resource(bill: Estimate, resource: str, what: str) -> float:
    return sum(line.usd for line in bill.lines if (line.resource, line.what) == (resource, what))


def test_every_type_of_every_stack_is_priced_free_or_left_out(graph: Graph) -> None:
    require_known(each.type for each in graph.resources if each.custom)


def test_every_type_that_a_stack_may_declare_is_priced_free_or_left_out() -> None:
    assert len(RULES) > 100
    require_known(RULES)


def test_no_type_is_in_two_lists_and_every_reason_says_something() -> None:
    assert not set(PRICED) & set(FREE)
    assert not set(PRICED) & set(NOT_PRICED)
    assert not set(FREE) & set(NOT_PRICED)
    assert all(len(reason) > 5 for reason in (*FREE.values(), *NOT_PRICED.values()))


def test_a_type_of_which_nobody_said_what_it_costs_is_an_error(graph_of: Callable[[str], Graph]) -> None:
    graph = graph_of("dev")
    stranger = Resource("urn", "aws:rds/instance:Instance", "database", True, {})
    with pytest.raises(ConfigurationError, match=r"aws:rds/instance:Instance costs; price it in"):
        estimate(replace(graph, resources=(*graph.resources, stranger)), DEV, PRICES)


def test_every_price_names_its_page_and_its_date_or_says_that_it_has_none() -> None:
    for name, price in {**PRICES.prices, **PRICES.discounts}.items():
        assert price.source.startswith("https://"), name
        assert price.confirmed is (price.read is not None), name
        assert price.read is None or price.read <= PRICES.collected, name
    assert all(price.usd > 0 and price.per >= 1 for price in PRICES.prices.values())
    assert 0 < len(PRICES.unconfirmed) < len(PRICES.prices)


def test_a_price_without_a_date_must_say_so(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give the date"):
        type(PRICES["vpc.nat"])(usd=1, unit="hours", source="https://example.org")


def test_a_missing_price_and_a_region_without_prices_say_what_to_do() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no price sagemaker.ml.p9.large .* add it to prices-us-east-1"
    ):
        PRICES["sagemaker.ml.p9.large"]
    with pytest.raises(ConfigurationError, match="no prices for eu-west-1; there are some for us-east-1"):
        load_prices("eu-west-1")


# The figures below are computed by hand from the price pages, a month being 730 hours.


def test_interface_endpoints_cost_a_cent_an_hour_in_each_zone(bill_of: Callable[[str], Estimate]) -> None:
    # 16 endpoints x 3 zones x 730 h x $0.01, and in dev x 1 zone; GuardDuty does not charge for its own.
    assert item(bill_of("prod"), "VPC", "interface endpoints") == pytest.approx(350.40)
    assert item(bill_of("dev"), "VPC", "interface endpoints") == pytest.approx(116.80)


def test_the_processor_costs_its_vcpus_and_its_memory(bill_of: Callable[[str], Estimate]) -> None:
    # 2 tasks x 4 vCPU x 730 h x $0.04048; 2 tasks x 16 GB x 730 h x $0.004445.
    assert of_resource(bill_of("prod"), "processor-service", "vCPU") == pytest.approx(236.4032)
    assert of_resource(bill_of("prod"), "processor-service", "memory") == pytest.approx(103.8352)


def test_a_training_costs_twenty_five_minutes_and_not_twenty_five_hours(
    bill_of: Callable[[str], Estimate], changed_bill: Estimate
) -> None:
    # 16 trainings x 25 min of ml.g5.2xlarge at $1.515 an hour = 6.67 h = $10.10; Spot takes 60 % off.
    assert item(changed_bill, "SageMaker", "train on ml.g5.2xlarge") == pytest.approx(10.10)
    assert item(bill_of("prod"), "SageMaker", "train on ml.g5.2xlarge Spot") == pytest.approx(4.04)
    # dev: 4 x 25 min of ml.g5.xlarge at $1.408, on Spot.
    assert item(bill_of("dev"), "SageMaker", "train on ml.g5.xlarge Spot") == pytest.approx(0.9386667)


def test_image_sets_stay_a_month_in_the_dear_tier(bill_of: Callable[[str], Estimate]) -> None:
    # 100 scans x 300 slices x 0.502 MiB x 0.5 = 7.3535 GiB a month, at $0.105.
    assert item(bill_of("prod"), "HealthImaging", "frequent tier") == pytest.approx(0.772119, rel=1e-5)
    # Eleven months before it are archived at $0.006, less 500 slices that training read: 0.12256 GiB.
    archived = 11 * 7.353516 - 500 * 0.502 * 0.5 / 1024
    assert item(bill_of("prod"), "HealthImaging", "archive tier") == pytest.approx(archived * 0.006, rel=1e-5)


def test_a_small_image_set_counts_five_megabytes(graph_of: Callable[[str], Graph]) -> None:
    x_rays = Usage(scans_per_month=1000, images_per_scan=2, mib_per_image=2, months=1, trainings_per_month=0)
    bill = estimate(graph_of("prod"), x_rays, PRICES)
    # 1000 studies x 2 image sets x 5 MiB = 9.765625 GiB, though they hold 2 MiB each at most.
    assert item(bill, "HealthImaging", "frequent tier") == pytest.approx(9.765625 * 0.105)


def test_keys_cost_a_dollar_for_each_of_their_versions(bill_of: Callable[[str], Estimate]) -> None:
    # After twelve months each key was rotated once (365 days): two versions.
    keys = sum(1 for line in bill_of("prod").lines if line.what == "keys")
    assert keys >= 5
    assert item(bill_of("prod"), "KMS", "keys") == pytest.approx(2.0 * keys)


def test_balancers_web_acls_users_and_polling_cost_what_their_pages_say(
    bill_of: Callable[[str], Estimate],
) -> None:
    bill = bill_of("prod")
    assert item(bill, "Load balancers", "application load balancers") == pytest.approx(730 * 0.0225)
    assert of_resource(bill, "api-web-acl", "web ACLs") == 5.0
    # 100 scans x 2 views x (300 frames + 40 requests) = 68,000 requests at $0.60 a million.
    assert of_resource(bill, "api-web-acl", "requests") == pytest.approx(0.0408)
    # Threat protection needs the Plus tier: 20 users at $0.02.
    assert item(bill, "Cognito", "users (plus)") == pytest.approx(0.40)
    # 2 tasks x 8 workers x 3 polls a minute x 43,800 minutes = 2,102,400 at $0.40 a million.
    assert item(bill, "SQS", "polling") == pytest.approx(0.84096)


def test_data_events_are_counted(bill_of: Callable[[str], Estimate]) -> None:
    # 30,000 images x 25 calls = 750,000 at $0.10 a hundred thousand.
    assert item(bill_of("prod"), "CloudTrail", "data events") == pytest.approx(0.75)


def test_changed_settings_move_what_they_decide(
    bill_of: Callable[[str], Estimate], changed_bill: Estimate
) -> None:
    before, after = bill_of("prod"), changed_bill
    assert before.total != after.total
    moved = {
        ("VPC", "interface endpoints"): -16 * 730 * 0.01,
        ("VPC", "NAT gateways"): 730 * 0.045,
        ("VPC", "public addresses"): 730 * 0.005,
        ("VPC", "VPN"): 730 * 0.05,
        ("Fargate", "memory"): 2 * 4 * 730 * 0.004445,
        ("SageMaker", "train on ml.g5.2xlarge"): 10.10,
        ("SageMaker", "train on ml.g5.2xlarge Spot"): -4.04,
    }
    for (service, what), usd in moved.items():
        assert item(after, service, what) - item(before, service, what) == pytest.approx(usd), what
    assert item(after, "CloudWatch", "logs kept") < item(before, "CloudWatch", "logs kept")
    assert item(after, "S3", "Glacier") < item(before, "S3", "Glacier")


def test_more_scans_and_trainings_move_their_shares_and_nothing_else(
    graph_of: Callable[[str], Graph], bill_of: Callable[[str], Estimate]
) -> None:
    once = bill_of("prod")
    scans = estimate(graph_of("prod"), replace(PROD, scans_per_month=200), PRICES)
    assert scans.driven_by("fixed") == pytest.approx(once.driven_by("fixed"))
    assert scans.driven_by("scan") == pytest.approx(2 * once.driven_by("scan"), rel=0.01)
    trainings = estimate(graph_of("prod"), replace(PROD, trainings_per_month=32), PRICES)
    assert trainings.driven_by("fixed") == pytest.approx(once.driven_by("fixed"))
    assert trainings.driven_by("scan") == pytest.approx(once.driven_by("scan"))
    assert trainings.driven_by("training") > 1.8 * once.driven_by("training")


def test_nothing_is_variable_in_a_month_in_which_nothing_happens(graph_of: Callable[[str], Graph]) -> None:
    idle = estimate(graph_of("prod"), Usage(scans_per_month=0, trainings_per_month=0), PRICES)
    assert idle.driven_by("scan") == pytest.approx(0)
    assert idle.driven_by("training") == pytest.approx(0, abs=0.01)
    assert (idle.per_scan, idle.per_training) == (0, 0)
    assert idle.total > 0


def test_an_ordinary_month_stays_below_the_budget_and_the_alert_before_it(
    bill_of: Callable[[str], Estimate],
) -> None:
    for stack in ("dev", "prod"):
        settings = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text())["config"]
        budget, shares = float(settings["rayline:monthlyBudgetUsd"]), settings["rayline:budgetAlertPercents"]
        assert shares[-1] == 100
        # An alert that comes every month is one that nobody reads.
        assert bill_of(stack).total < budget * shares[-2] / 100, stack


def test_the_page_about_cost_tells_the_figures_that_the_program_computes(
    bill_of: Callable[[str], Estimate],
) -> None:
    rows = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]]
        for line in (ROOT / "docs/cost.md").read_text().splitlines()
        if len(cells := line.split("|")) > 3
    }
    told = [float(each.removeprefix("$").replace(",", "")) for each in rows["**total**"]]
    # A twentieth is left for what changes without anybody writing about it.
    assert told == pytest.approx([bill_of("dev").total, bill_of("prod").total], rel=0.05)


@pytest.mark.parametrize(
    ("strategies", "count", "on_spot"),
    [
        ([], 2, 0),
        ([{"capacityProvider": "FARGATE", "weight": 1}], 2, 0),
        ([{"capacityProvider": "FARGATE_SPOT", "weight": 1}], 3, 3),
        (
            [
                {"capacityProvider": "FARGATE", "base": 2},
                {"capacityProvider": "FARGATE_SPOT", "weight": 1},
            ],
            2,
            0,
        ),
        (
            [
                {"capacityProvider": "FARGATE", "base": 1, "weight": 1},
                {"capacityProvider": "FARGATE_SPOT", "weight": 3},
            ],
            5,
            3,
        ),
    ],
)
def test_spot_takes_what_the_base_leaves_by_weight(
    strategies: list[dict[str, object]], count: float, on_spot: float
) -> None:
    assert spot_tasks(strategies, count) == on_spot


@pytest.mark.parametrize(
    ("start", "end", "months", "expected"),
    [
        (0, float("inf"), 12, 12),
        (0, 30, 12, 30 / (365 / 12)),
        (90, 180, 2, 0),
        (90, 180, 4, 4 - 90 / (365 / 12)),
    ],
)
def test_what_is_kept_ages_month_by_month(start: float, end: float, months: float, expected: float) -> None:
    assert aged_months(start, end, months) == pytest.approx(expected)


def test_a_saving_is_the_difference_of_two_plans(
    graph_of: Callable[[str], Graph], bill_of: Callable[[str], Estimate], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, str]] = []

    def replan(settings: dict[str, str]) -> Graph:
        asked.append(dict(settings))
        return graph_of("dev")

    cheaper = Change("all of dev", {"rayline:epochs": "1"}, "production")
    same = Change("nothing", {"rayline:site": "hospital-a"}, "nothing")
    monkeypatch.setattr(savings_module, "CHANGES", (cheaper, same))
    monkeypatch.setattr(savings_module, "UNDONE", {})
    bill = bill_of("prod")
    found = savings(bill, graph_of("prod"), {"rayline:epochs": "50", "rayline:site": "hospital-a"}, replan)
    # A change that the stack has made already is not planned.
    assert asked == [{"rayline:epochs": "1"}]
    other = estimate(graph_of("dev"), PROD, PRICES).total
    by_title = {each.title: each.usd for each in found}
    assert by_title["all of dev"] == pytest.approx(bill.total - other)
    # A fifth of what Fargate costs beside Spot.
    fargate = sum(each.usd for each in bill.lines if each.service == "Fargate" and "Spot" not in each.what)
    assert by_title["Compute Savings Plan, 1 year, nothing upfront"] == pytest.approx(0.2 * fargate)
    assert [each.usd for each in found] == sorted((each.usd for each in found), reverse=True)


def test_every_saving_names_settings_that_every_stack_has() -> None:
    known = set(yaml.safe_load((ROOT / "Pulumi.prod.yaml").read_text())["config"])
    for change in CHANGES:
        assert set(change.settings) <= known, change.title
        assert change.given_up


def test_the_verb_prints_what_the_program_computes(
    app: typer.Typer,
    graph_of: Callable[[str], Graph],
    bill_of: Callable[[str], Estimate],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cost_command, "plan", lambda stack, overrides: graph_of(stack))
    answer = CliRunner().invoke(
        app, ["cost", "--stack", "dev", "--no-savings", "--json", "--assume", "months=1"]
    )
    assert answer.exit_code == 0, answer.output
    told = json.loads(answer.stdout)
    assert told["usage"]["months"] == 1
    assert told["total_usd"] == pytest.approx(sum(line["usd"] for line in told["lines"]))
    assert told["total_usd"] < bill_of("dev").total
    assert told["fixed_usd"] + told["scans_usd"] + told["trainings_usd"] == pytest.approx(told["total_usd"])


def test_every_assumption_is_listed_with_its_meaning_and_a_wrong_one_is_refused(app: typer.Typer) -> None:
    answer = CliRunner().invoke(app, ["cost", "--stack", "dev", "--assumptions"])
    assert "training_minutes=25  # billed minutes of a training job" in answer.stdout
    for wrong in ("minutes=1", "months", "months=many", "months=-1", "months=inf"):
        with pytest.raises(ConfigurationError):
            Usage().changed([wrong])
