"""The whole plugin contract on one page: every hook, when it is called, with what and for which answer.

Observers see that something happened and return nothing. Deciders answer a question. Transformers hand on a
changed instance. Registrars are called once, at start-up. Arguments are only ever added; an implementation
names the ones it wants.
"""

from typing import Any

import pluggy
import typer
from pydantic import BaseModel

from rayline.plugin import (
    PROJECT,
    Approval,
    Context,
    Destination,
    Evaluated,
    Evaluation,
    Event,
    Ingested,
    Instance,
    Rejection,
    Trained,
    Uploaded,
    Verified,
)

hookspec = pluggy.HookspecMarker(PROJECT)

OBSERVERS = frozenset(
    {"on_uploaded", "on_ingested", "on_verified", "on_trained", "on_evaluated", "on_rejected"}
)
DECIDERS = frozenset({"screen_instance", "accept_verification", "approve_model", "destinations"})
TRANSFORMERS = frozenset({"transform_instance"})
REGISTRARS = frozenset({"settings_model", "register_commands"})


@hookspec
def on_uploaded(event: Uploaded, context: Context) -> None:
    """An object arrived in the uploads bucket."""


@hookspec
def on_ingested(event: Ingested, context: Context) -> None:
    """HealthImaging ended an import job, or created or changed an image set."""


@hookspec
def on_verified(event: Verified, context: Context) -> None:
    """A radiologist verified an image set, or revoked a verification."""


@hookspec
def on_trained(event: Trained, context: Context) -> None:
    """The pipeline's training step ended."""


@hookspec
def on_evaluated(event: Evaluated, context: Context) -> None:
    """A pipeline execution ended."""


@hookspec
def on_rejected(event: Event, rejection: Rejection, context: Context) -> None:
    """An input was refused and is kept in quarantine."""


@hookspec
def screen_instance(instance: Instance, context: Context) -> Rejection | None:
    """Refuse an instance before anything is made of it; one rejection quarantines it."""


@hookspec
def transform_instance(instance: Instance, context: Context) -> Instance | None:
    """Hand on the instance, changed or not; None hands it on as it is. Called in order, each on the last's result."""


@hookspec
def accept_verification(event: Verified, context: Context) -> Rejection | None:
    """Refuse a verification, e.g. by a verifier who may not; one rejection refuses it."""


@hookspec
def approve_model(evaluation: Evaluation, context: Context) -> Approval | None:
    """Approve, reject or leave a registered model to a human; the first answer counts."""


@hookspec
def destinations(event: Ingested, context: Context) -> list[Destination] | None:
    """Name the PACS that an event's instances go to; all answers are joined."""


@hookspec
def settings_model() -> type[BaseModel]:  # type: ignore[empty-body]
    """The pydantic model of the plugin's ``settings`` in the site profile."""


@hookspec
def register_commands(app: typer.Typer) -> Any:
    """Add verbs to the ``rayline`` command."""
