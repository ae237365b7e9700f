"""``rayline events``: what the processor's events and notifications look like."""

import json
from collections.abc import Mapping
from typing import Annotated

import typer
from pydantic import BaseModel

from rayline.errors import ConfigurationError
from rayline.events import EVENT_TYPES
from rayline.notifications import NOTIFICATIONS

MODELS: Mapping[str, type[BaseModel]] = {
    **{each.__name__: each for each in NOTIFICATIONS},
    **{str(each.model_fields["kind"].default): each for each in EVENT_TYPES},
}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    verbs = typer.Typer(help="What the processor takes in and tells others.", no_args_is_help=True)
    verbs.callback()(lambda: None)  # keeps a single verb from becoming the whole command
    app.add_typer(verbs, name="events")

    @verbs.command()
    def schema(
        name: Annotated[
            str | None, typer.Argument(help="A notification, e.g. ImageIngested, or an event, e.g. uploaded.")
        ] = None,
        list_names: Annotated[bool, typer.Option("--list", help="List the names.")] = False,
    ) -> None:
        """Print the JSON Schema of a notification or event; without a name, of all of them by name.

        Notifications leave on the custom bus with the source rayline.processor and their name as detail type.
        """
        if list_names:
            for each, model in MODELS.items():
                typer.echo(f"{each:18} {(model.__doc__ or '').splitlines()[0]}")
            return
        if name is not None and name not in MODELS:
            raise ConfigurationError(f"no event {name!r}; use one of {', '.join(MODELS)}")
        schemas = {each: model.model_json_schema(mode="serialization") for each, model in MODELS.items()}
        typer.echo(json.dumps(schemas if name is None else schemas[name], indent=2))
