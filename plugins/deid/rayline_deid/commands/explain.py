"""``rayline deid explain``: what becomes of an attribute, and why."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(
        epilog=(
            "Examples:\n\n"
            "rayline deid explain StudyDate\n\n"
            "rayline deid explain research.yaml StudyDate '(0008,1030)' AccessionNumber\n\n"
            "rayline deid explain research.yaml '(0019,xx0C)@SIEMENS MR HEADER'\n\n"
            "rayline deid explain research.yaml --all --json | jq '.[] | select(.outcome == \"keep\")'"
        )
    )
    def explain(
        what: Annotated[
            list[str] | None,
            typer.Argument(
                metavar="[PROFILE] ATTRIBUTE...",
                help="A profile (YAML file, `basic` or `default`; default `default`), then keywords, (gggg,eeee), or "
                "(gggg,xxee)@CREATOR for private ones.",
            ),
        ] = None,
        every: Annotated[
            bool, typer.Option("--all", help="Every attribute that table E.1-1 or the profile names.")
        ] = False,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print a JSON list, one object an attribute.")
        ] = False,
    ) -> None:
        """Say what becomes of an attribute and why: its row in the table, the option, the edition."""
        import json

        from rayline.plugin import ConfigurationError
        from rayline_deid.explanation import explain as explain_attribute
        from rayline_deid.explanation import explain_tag, is_profile_name, profile_named, tags_of

        arguments = list(what or [])
        profile = profile_named(
            arguments.pop(0) if arguments and is_profile_name(arguments[0]) else "default"
        )
        if not arguments and not every:
            raise ConfigurationError(
                "name an attribute, e.g. `rayline deid explain PatientName`, or give --all"
            )
        found = [explain_attribute(profile, attribute) for attribute in arguments]
        if every:
            found += [explain_tag(profile, tag) for tag in tags_of(profile)]
        if as_json:
            typer.echo(json.dumps([each.as_json() for each in found], indent=2))
        elif every:
            for each in found:
                option = f" ({each.decision.option})" if each.decision.option else ""
                typer.echo(f"{each.tag} {each.decision.outcome:14} {each.keyword or each.name}{option}")
        else:
            for each in found:
                for line in each.lines(profile.edition):
                    typer.echo(line)
