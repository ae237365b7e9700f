"""Every adapter on a real local cloud: put, seen, put again, adopted, changed in place, deleted."""

from collections.abc import Iterator

import pytest
from support.adapter_cases import delivery, network, records, services
from support.adapter_cases.case import World
from support.local_cloud import ACCOUNT_ID, REGION, LocalCloud

from rayline_infra.planning.outputs import Place, invent
from rayline_local.provisioner.adapters import ADAPTERS, RECIPES, adapter_for

CASES = {**network.CASES, **delivery.CASES, **records.CASES, **services.CASES}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    cloud = LocalCloud(tmp_path_factory.mktemp("adapters"))
    cloud.start()
    yield World(cloud)
    cloud.stop()


def test_every_type_that_follows_a_recipe_has_a_case() -> None:
    assert sorted({*RECIPES} - set(CASES)) == []
    assert sorted(set(CASES) - set(ADAPTERS)) == []


@pytest.mark.parametrize("token", sorted(CASES))
def test_an_adapter_puts_adopts_changes_and_deletes(world: World, token: str) -> None:
    case = CASES[token]
    adapter = adapter_for(token, world.clients)
    inputs = case.inputs(world)
    made = adapter.put(inputs, None)
    assert adapter.exists(made.id, inputs)
    promised = set(invent(token, "x", inputs, Place(ACCOUNT_ID, REGION))[1])
    assert promised <= set(made.outputs) | set(inputs), (
        "planning promises outputs that the adapter does not answer"
    )
    assert not [name for name, value in made.outputs.items() if value in (None, "")]

    assert adapter.put(inputs, made.id).id == made.id
    assert adapter.put(inputs, None).id == made.id, "what a broken run left is not adopted"

    assert not adapter.replaced_by & set(case.change)
    changed = {**inputs, **case.change}
    if case.change:
        assert adapter.put(changed, made.id).id == made.id
        assert case.seen(world, made.id) == case.expected

    adapter.delete(made.id, changed)
    assert adapter.exists(made.id, changed) == case.permanent
    adapter.delete(made.id, changed)
