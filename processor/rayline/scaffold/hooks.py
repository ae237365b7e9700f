"""For each hook, the sample that a new plugin starts with: policy, settings, code, and tests of them.

``$name`` is the plugin's name, ``$settings`` the class of its settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class HookSample:
    """The parts of one hook.

    Attributes:
        types: names that the code imports from ``rayline.plugin``.
        policy: arguments of its Policy; empty for what runs at start.
        code: the implementation.
        settings: fields of the settings model.
        tests: test functions; they may use ``plugin``, ``context`` and what ``test_types`` and ``strategies`` import.
        test_types: names that the tests import from ``rayline.plugin``.
        strategies: names that the tests import from ``rayline.testing.strategies``.
        builders: names that the tests import from ``rayline.testing``.
        modules: modules of others that the code imports.
    """

    types: tuple[str, ...]
    policy: str
    code: str
    settings: str = ""
    tests: str = ""
    test_types: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    builders: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


def _observer(hook: str, kind: str, event: str, seen: str, field: str, strategy: str) -> HookSample:
    """An observer that logs one safe field of its event."""
    return HookSample(
        types=(event, "Context"),
        policy='on_failure="retry", timeout_seconds=30',
        code=f'''
@hookimpl
def {hook}(event: {event}, context: Context) -> None:
    """{seen}"""
    context.log.info("{kind}_seen", {field})
''',
        tests=f'''
@given({strategy})
def test_{kind}_events_are_logged(event: {event}) -> None:
    given_context = context()
    plugin.{hook}(event, given_context)
    assert [record.event for record in given_context.logged] == ["{kind}_seen"]
''',
        test_types=(event,),
        strategies=(strategy,),
    )


SAMPLES: Final[Mapping[str, HookSample]] = {
    "on_uploaded": _observer(
        "on_uploaded",
        "upload",
        "Uploaded",
        "An object arrived; without sees_phi its key is blank.",
        "kind=event.kind",
        "uploaded",
    ),
    "on_ingested": HookSample(
        types=("Ingested", "Context"),
        policy='on_failure="retry", timeout_seconds=300, order=200',
        code='''
@hookimpl
def on_ingested(event: Ingested, context: Context) -> None:
    """Count what an import job brought; it runs after the built-in stage (order 0)."""
    if event.subject != "import_job" or event.job_status != "COMPLETED":
        return
    stored = sum(1 for _ in context.stored_instances(event))
    context.log.info("imported_instances_counted", stored=stored)
''',
        tests="""
@given(import_jobs)
def test_instances_of_completed_jobs_are_counted(event: Ingested) -> None:
    given_context = context()
    given_context.contents = {"1.2.3": image_content(), "1.2.4": image_content()}
    plugin.on_ingested(event, given_context)
    counted = [record.fields["stored"] for record in given_context.logged]
    assert counted == ([2] if event.job_status == "COMPLETED" else [])
""",
        test_types=("Ingested",),
        strategies=("import_jobs",),
        builders=("image_content",),
    ),
    "on_verified": _observer(
        "on_verified",
        "verification",
        "Verified",
        "A radiologist verified an image set, or revoked a verification.",
        "image_set_id=event.image_set_id",
        "verified",
    ),
    "on_trained": _observer(
        "on_trained",
        "training",
        "Trained",
        "The pipeline's training step ended.",
        "status=event.step_status",
        "trained",
    ),
    "on_evaluated": _observer(
        "on_evaluated",
        "evaluation",
        "Evaluated",
        "A pipeline execution ended.",
        "status=event.status",
        "evaluated",
    ),
    "on_rejected": HookSample(
        types=("Event", "Rejection", "Context"),
        policy='on_failure="retry", timeout_seconds=30',
        code='''
@hookimpl
def on_rejected(event: Event, rejection: Rejection, context: Context) -> None:
    """An input was refused and is kept in quarantine."""
    context.log.info("rejection_seen", kind=event.kind, reason=rejection.reason)
''',
        tests="""
@given(events, rejections)
def test_rejections_are_logged(event: Event, rejection: Rejection) -> None:
    given_context = context()
    plugin.on_rejected(event, rejection, given_context)
    assert [record.fields["reason"] for record in given_context.logged] == [rejection.reason]
""",
        test_types=("Event", "Rejection"),
        strategies=("events", "rejections"),
    ),
    "screen_instance": HookSample(
        types=("Context", "Instance", "Rejection"),
        policy='on_failure="reject", timeout_seconds=10, sees_phi=True',
        settings="""
    refused_image_types: frozenset[str] = Field(
        default=frozenset({"LOCALIZER"}),
        description="values of ImageType (0008,0008) that this site does not import",
    )
""",
        code='''
@hookimpl
def screen_instance(instance: Instance, context: Context) -> Rejection | None:
    """Refuse images of the types that this site leaves out."""
    settings: $settings = context.settings
    image_type = instance.dataset.get("ImageType") or []
    values = [image_type] if isinstance(image_type, str) else list(image_type)
    if settings.refused_image_types.isdisjoint(values):
        return None
    return Rejection("IMAGE_TYPE", "this site does not import images of this type")
''',
        tests="""
def test_localizers_are_refused() -> None:
    spec = ImageSpec(image_type=("ORIGINAL", "PRIMARY", "LOCALIZER"))
    refusal = plugin.screen_instance(image_instance(spec), context())
    assert refusal is not None
    assert refusal.reason == "IMAGE_TYPE"


@given(instances)
def test_only_localizers_are_refused(instance: Instance) -> None:
    refusal = plugin.screen_instance(instance, context())
    assert (refusal is not None) == ("LOCALIZER" in str(instance.dataset.get("ImageType")))
""",
        test_types=("Instance",),
        strategies=("instances",),
        builders=("ImageSpec", "image_instance"),
    ),
    "transform_instance": HookSample(
        types=("Context", "Instance"),
        policy='on_failure="reject", timeout_seconds=10, order=200',
        modules=("copy",),
        settings="""
    removed_attributes: frozenset[str] = Field(
        default=frozenset({"StationName"}),
        description="keywords of attributes to take out",
    )
""",
        code='''
@hookimpl
def transform_instance(instance: Instance, context: Context) -> Instance | None:
    """Take attributes out; order 200 is after de-identification, so it sees no PHI."""
    settings: $settings = context.settings
    present = [word for word in settings.removed_attributes if word in instance.dataset]
    if not present:
        return None
    dataset = copy.deepcopy(instance.dataset)
    for keyword in present:
        delattr(dataset, keyword)
    return instance.with_dataset(dataset)
''',
        tests="""
def test_the_attribute_goes_and_the_rest_stays() -> None:
    given_instance = image_instance(ImageSpec(attributes={"StationName": "CT 7"}))
    changed = plugin.transform_instance(given_instance, context())
    assert changed is not None
    kept = {element.tag for element in given_instance.dataset if element.keyword != "StationName"}
    assert {element.tag for element in changed.dataset} == kept


@given(instances)
def test_what_lacks_the_attribute_is_handed_on(instance: Instance) -> None:
    assert plugin.transform_instance(instance, context()) is None
""",
        test_types=("Instance",),
        strategies=("instances",),
        builders=("ImageSpec", "image_instance"),
    ),
    "accept_verification": HookSample(
        types=("Context", "Rejection", "Verified"),
        policy='on_failure="reject", timeout_seconds=10',
        settings="""
    verifiers: frozenset[str] = Field(
        default=frozenset(), description="who may verify; anybody where empty"
    )
""",
        code='''
@hookimpl
def accept_verification(event: Verified, context: Context) -> Rejection | None:
    """Refuse verifications by people whom the site does not name."""
    settings: $settings = context.settings
    if not settings.verifiers or event.verifier in settings.verifiers:
        return None
    return Rejection("NOT_A_VERIFIER", "this site does not name the verifier")
''',
        tests="""
@given(verified)
def test_anybody_may_verify_by_default(event: Verified) -> None:
    assert plugin.accept_verification(event, context()) is None


@given(verified)
def test_nobody_else_may_verify_once_somebody_is_named(event: Verified) -> None:
    refusal = plugin.accept_verification(event, context(verifiers={"somebody else entirely" * 3}))
    assert refusal is not None
    assert refusal.reason == "NOT_A_VERIFIER"
""",
        test_types=("Verified",),
        strategies=("verified",),
    ),
    "approve_model": HookSample(
        types=("Approval", "Context", "Evaluation"),
        policy='on_failure="reject", timeout_seconds=10',
        settings="""
    approve_at: float = Field(
        default=0.95, ge=0, le=1, description="accuracy from which no human is asked"
    )
""",
        code='''
@hookimpl
def approve_model(evaluation: Evaluation, context: Context) -> Approval | None:
    """Approve an accurate model; a human decides on the rest."""
    settings: $settings = context.settings
    accuracy = evaluation.metrics.get("accuracy")
    if evaluation.model_package_arn is None:
        return None
    if accuracy is None or not accuracy >= settings.approve_at:
        return Approval("ask_human", f"accuracy does not reach {settings.approve_at:g}")
    return Approval("approve", f"accuracy {accuracy:.3f} reaches {settings.approve_at:g}")
''',
        tests="""
@given(evaluations)
def test_only_an_accurate_model_is_approved(evaluation: Evaluation) -> None:
    answer = plugin.approve_model(evaluation, context(approve_at=0.9))
    if evaluation.model_package_arn is None:
        assert answer is None
    else:
        assert answer is not None
        assert (answer.decision == "approve") == (evaluation.metrics["accuracy"] >= 0.9)
""",
        test_types=("Evaluation",),
        strategies=("evaluations",),
    ),
    "destinations": HookSample(
        types=("Context", "Destination", "Ingested"),
        policy='on_failure="retry", timeout_seconds=10',
        settings="""
    ae_title: str = Field(default="PACS", max_length=16, description="AE title of the PACS")
    host: str = Field(default="", description="where the PACS is; nothing is sent while empty")
    port: int = Field(default=104, ge=1, le=65_535, description="where the PACS listens")
""",
        code='''
@hookimpl
def destinations(event: Ingested, context: Context) -> list[Destination]:
    """Send what an import job brought to one PACS; the pacs_forward plugin does the sending."""
    settings: $settings = context.settings
    if event.subject != "import_job" or not settings.host:
        return []
    return [Destination("$name", settings.ae_title, settings.host, settings.port)]
''',
        tests="""
@given(import_jobs)
def test_a_job_goes_to_the_pacs_of_the_settings(event: Ingested) -> None:
    assert plugin.destinations(event, context()) == []
    (destination,) = plugin.destinations(event, context(host="pacs.example.org"))
    assert (destination.host, destination.port) == ("pacs.example.org", 104)
    assert destination.identity == "deidentified"
""",
        test_types=("Ingested",),
        strategies=("import_jobs",),
    ),
    "register_commands": HookSample(
        types=(),
        policy="",
        modules=("typer",),
        code='''
@hookimpl
def register_commands(app: typer.Typer) -> None:
    """Add the verb `rayline $verb`."""

    @app.command("$verb")
    def about() -> None:
        """Say what this plugin is for."""
        typer.echo("$name is installed")
''',
        tests="""
def test_the_verb_runs() -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    plugin.register_commands(app)
    ran = CliRunner().invoke(app, ["$verb"])
    assert ran.output == "$name is installed\\n"
""",
    ),
}
