"""The reference shows each notification with an example that the models accept, id included."""

import json
import re
from pathlib import Path

import pytest

from rayline.notifications import NOTIFICATIONS, Notification

_EXAMPLE = re.compile(r"^### (\w+)\n\n(.+?)\n\n```json\n(.+?)\n```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def examples(repository: Path) -> dict[str, tuple[str, str]]:
    text = (repository / "docs/reference.md").read_text()
    section = text.partition("## Events for other systems\n")[2].partition("\n## ")[0]
    return {name: (meaning, example) for name, meaning, example in _EXAMPLE.findall(section)}


def test_exactly_the_notifications_are_documented(examples: dict[str, tuple[str, str]]) -> None:
    assert list(examples) == [model.__name__ for model in NOTIFICATIONS]


@pytest.mark.parametrize("model", NOTIFICATIONS, ids=lambda model: model.__name__)
def test_each_example_is_a_whole_notification(
    model: type[Notification], examples: dict[str, tuple[str, str]]
) -> None:
    meaning, example = examples[model.__name__]
    document = json.loads(example)
    assert model.model_validate(document).model_dump(mode="json", by_alias=True) == document
    del document["id"]
    assert model.model_validate(document).id == json.loads(example)["id"]
    assert meaning == " ".join((model.__doc__ or "").split())
