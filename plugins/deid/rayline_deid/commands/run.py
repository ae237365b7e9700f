"""``rayline deid run``: de-identify files and folders."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class _Layouts(StrEnum):
    UID = "uid"
    TREE = "tree"


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(
        epilog=(
            "Examples:\n\n"
            "rayline deid run scans/ --output clean/\n\n"
            "rayline deid run 'in/**/*.dcm' more/ --output clean/ --secret-file site.key --report run.json\n\n"
            "rayline deid run scans/ --output clean/ --secret-file site.key --resume --processes 8\n\n"
            "rayline deid run scans/ --output clean/ --secret-file site.key "
            "--crosswalk who.crosswalk --crosswalk-key-file crosswalk.key\n\n"
            "Exit status: 0 every file is de-identified; 1 some could not be read or written, or the run was "
            "ended early; 2 an option is wrong; 3 some were refused, and nothing of them was written."
        )
    )
    def run(
        files: Annotated[
            list[str], typer.Argument(help="Files, folders (with all that is below), or patterns.")
        ],
        output: Annotated[
            Path, typer.Option("--output", "-o", help="Folder for what is de-identified; made if absent.")
        ],
        profile: Annotated[
            str,
            typer.Option(
                help="YAML file, or `basic`, PS3.15's basic profile, or `default`, that and text in pixels cleaned."
            ),
        ] = "default",
        secret_file: Annotated[
            Path | None,
            typer.Option(
                help="File with the secret that keys UIDs and pseudonyms, e.g. of `openssl rand -hex 32`. Default "
                "$RAYLINE_SECRET_DEID, else a random one for this run alone. The same secret and site give the "
                "same pseudonyms, in every run and in the processor."
            ),
        ] = None,
        site: Annotated[
            str,
            typer.Option(
                envvar="RAYLINE_SITE", help="The site that the files are from: a PatientID is unique in it."
            ),
        ] = "local",
        processes: Annotated[
            int | None, typer.Option("--processes", "-p", min=1, help="Default one for each processor core.")
        ] = None,
        layout: Annotated[
            _Layouts,
            typer.Option(
                help="'uid': PATIENT/STUDY/SERIES/INSTANCE.dcm, of pseudonyms. 'tree': as the inputs lie below "
                "the folders that are named; their names are copied, and must not name patients."
            ),
        ] = _Layouts.UID,
        resume: Annotated[
            bool,
            typer.Option(
                "--resume",
                help="Leave out what an earlier --resume with this profile and secret has done; OUTPUT/.rayline-deid "
                "keeps a journal, of keyed hashes.",
            ),
        ] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Read and decide everything, and write nothing.")
        ] = False,
        report: Annotated[
            Path | None,
            typer.Option(
                help="Write what became of each file as JSON. It names the inputs, so keep it with them."
            ),
        ] = None,
        as_json: Annotated[
            bool, typer.Option("--json", help="Print that report to standard output instead of a summary.")
        ] = False,
        crosswalk: Annotated[
            Path | None,
            typer.Option(
                help="Append who is behind which pseudonym to this encrypted file, for "
                "`rayline deid crosswalk find`."
            ),
        ] = None,
        crosswalk_key_file: Annotated[
            Path | None,
            typer.Option(help="File with the crosswalk's key; not the secret of the pseudonyms."),
        ] = None,
        quiet: Annotated[
            bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")
        ] = False,
    ) -> None:
        """De-identify DICOM files: headers after a profile, and text in pixels blanked.

        What cannot be made safe is refused with a reason and never written.
        Inputs are only read. An output is written whole or not at all, and never
        over another one: of two inputs with one SOP Instance UID and different
        content, both are kept.
        """
        # Imported late, so that other verbs do not wait for it.
        from rayline_deid.running import Options, de_identify

        options = Options(
            files=files,
            output=output,
            profile=profile,
            secret_file=secret_file,
            site=site,
            processes=processes,
            layout=layout.value,
            resume=resume,
            dry_run=dry_run,
            report=report,
            as_json=as_json,
            crosswalk=crosswalk,
            crosswalk_key_file=crosswalk_key_file,
            quiet=quiet,
        )
        raise typer.Exit(de_identify(options))
