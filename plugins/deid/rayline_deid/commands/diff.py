"""``rayline deid diff``: what two profiles treat differently."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(
        epilog=(
            "Examples:\n\n"
            "rayline deid diff default research.yaml\n\n"
            "git show HEAD:research.yaml > old.yaml; rayline deid diff old.yaml research.yaml\n\n"
            "Exit status: 0 they do the same; 1 they differ; 2 one of them cannot be carried out."
        )
    )
    def diff(
        first: Annotated[str, typer.Argument(help="YAML file, or `basic` or `default`.")],
        second: Annotated[str, typer.Argument(help="Likewise.")],
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Say what two profiles treat differently: settings, then attributes."""
        import json

        from rayline_deid.explanation import differences, profile_named, settings_that_differ

        one, other = profile_named(first), profile_named(second)
        settings, attributes = settings_that_differ(one, other), differences(one, other)
        if as_json:
            document = {
                "settings": {place: list(values) for place, values in settings.items()},
                "attributes": [
                    {
                        "tag": before.tag,
                        "keyword": before.keyword,
                        "first": before.decision.outcome.value,
                        "second": after.decision.outcome.value,
                    }
                    for before, after in attributes
                ],
            }
            typer.echo(json.dumps(document, indent=2))
        else:
            for place, (before_value, after_value) in settings.items():
                typer.echo(f"{place}: {_shown(before_value)} -> {_shown(after_value)}")
            for before, after in attributes:
                name = before.keyword or before.name
                typer.echo(f"{before.tag} {name}: {before.decision.outcome} -> {after.decision.outcome}")
            typer.echo(f"{len(settings)} settings and {len(attributes)} attributes differ")
        if one.digest != other.digest:
            raise typer.Exit(1)


def _shown(value: object) -> str:
    return "true" if value is True else "false" if value is False else str(value)
