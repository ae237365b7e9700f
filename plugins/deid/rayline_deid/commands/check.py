"""``rayline deid check``: whether a profile can be carried out, and what to know about it."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(
        epilog=(
            "Examples:\n\n"
            "rayline deid check research.yaml\n\n"
            "rayline deid check research.yaml --strict && git commit research.yaml\n\n"
            "rayline deid check --schema > profile.schema.json\n\n"
            "A profile of two lines keeps a patient's intervals and hides the dates:\n\n"
            "profile: 1\n\n"
            "options: {retain_longitudinal_temporal_information: modified}\n\n"
            "Exit status: 0 it can be carried out; 1 with --strict, there are warnings; 2 it cannot."
        )
    )
    def check(
        profile: Annotated[str, typer.Argument(help="YAML file, or `basic` or `default`.")] = "default",
        strict: Annotated[bool, typer.Option("--strict", help="Take warnings for errors.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
        schema: Annotated[
            bool, typer.Option("--schema", help="Print the JSON schema of profiles, for editors, and end.")
        ] = False,
    ) -> None:
        """Say whether a profile can be carried out, and warn of what it lets out.

        The digest is what receipts and outputs carry: it changes with everything
        that changes what comes out, and with nothing else but the secret.
        """
        import json

        from rayline.plugin import ConfigurationError
        from rayline_deid.document import profile_schema
        from rayline_deid.explanation import profile_named, summary

        if schema:
            typer.echo(json.dumps(profile_schema(), indent=2))
            return

        try:
            found = profile_named(profile)
        except ConfigurationError as wrong:
            if not as_json:
                raise
            typer.echo(json.dumps({"valid": False, "error": str(wrong)}, indent=2))
            raise typer.Exit(2) from None
        warnings = found.warnings()
        if as_json:
            document = {
                "valid": True,
                "digest": found.digest,
                "edition": found.edition,
                "options": sorted(option.value for option in found.options),
                "outcomes": summary(found),
                "warnings": warnings,
            }
            typer.echo(json.dumps(document, indent=2))
        else:
            applied = ", ".join(sorted(option.value for option in found.options)) or "none"
            outcomes = ", ".join(f"{count} {outcome}" for outcome, count in summary(found).items())
            typer.echo(f"{profile} can be carried out")
            typer.echo(f"  edition   {found.edition}")
            typer.echo(f"  options   {applied}")
            typer.echo(f"  outcomes  {outcomes}")
            typer.echo(f"  digest    {found.digest}")
            for warning in warnings:
                typer.echo(f"warning: {warning}", err=True)
        if warnings and strict:
            raise typer.Exit(1)
