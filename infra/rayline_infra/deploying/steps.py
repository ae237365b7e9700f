"""The order of a deployment; every step looks first whether it is done, so that a broken run is simply run again."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rayline.errors import ConfigurationError
from rayline_infra.deploying.account import Account
from rayline_infra.deploying.images import REPOSITORY, build_command, wanted
from rayline_infra.deploying.programs import Programs
from rayline_infra.policies.graph import Graph, Resource

BUCKET = "aws:s3/bucket:Bucket"
MODELS = "aws:sagemaker/modelPackageGroup:ModelPackageGroup"
USER_POOL = "aws:cognito/userPool:UserPool"
SECRET = "aws:secretsmanager/secret:Secret"  # noqa: S105 - a resource type
PROVIDERS = "pulumi:providers:"
Report = Callable[[str], None]
# Keys that nobody chooses: drawn once, in the account, and seen by nobody. Other secrets are the site's to set.
DRAWN_SECRETS = ("tracking", "deid")


def deploy(
    graph: Graph,
    account: Account,
    programs: Programs,
    made_from: Mapping[str, Sequence[str]],
    report: Report,
    *,
    confirmed: bool,
    options: Sequence[str] = (),
) -> None:
    """Bring a stack's account to its program.

    Tasks start only when their images and keys are there, so registries and secrets come first.

    Args:
        made_from: by repository kind, what `docker buildx build` takes, or ``("copy", <repository>)``.
        confirmed: do not ask before each update.
        options: what each `pulumi up` is told beside its stack; see ``update_options``.

    Raises:
        ConfigurationError: a program failed; what is done stays done, and the next run goes on from there.
    """
    stack = graph.stack
    first = with_needed(graph, [each.urn for each in (*graph.of_type(REPOSITORY), *graph.of_type(SECRET))])
    report("registries and secrets, which images and keys go into")
    targets = (part for urn in first for part in ("--target", engine_urn(graph, urn)))
    programs.run([*_up(stack, confirmed, options), *targets])
    _push_images(graph, account, programs, made_from, report)
    _draw_keys(graph, account, report)
    report("everything else")
    programs.run(_up(stack, confirmed, options))
    _give_sign_in_keys(graph, account, report)


def with_needed(graph: Graph, urns: Sequence[str]) -> list[str]:
    """Resources with all that they need: Pulumi updates a target only where what it depends on is one, or exists."""
    by_urn = {each.urn: each for each in graph.resources}
    found: set[str] = set()
    open_urns = [*urns, *(each.urn for each in graph.resources if each.type.startswith(PROVIDERS))]
    while open_urns:
        resource = by_urn.get(open_urns.pop())
        if resource is not None and resource.urn not in found:
            found.add(resource.urn)
            open_urns += [*resource.dependencies, resource.parent]
    return [each.urn for each in graph.resources if each.urn in found]


def engine_urn(graph: Graph, urn: str) -> str:
    """What Pulumi's engine calls a resource of the graph.

    The SDK's mocks, and so the graph, write one parent's type before a resource's own; the engine writes those of all
    parents but the stack's (pulumi, ``resource/urn``), and takes a target by no other name.
    """
    by_urn = {each.urn: each for each in graph.resources}
    resource: Resource | None = by_urn[urn]
    types: list[str] = []
    while resource is not None:
        types.insert(0, resource.type)
        resource = by_urn.get(resource.parent)
    stack, project, _, name = urn.split("::", 3)
    return "::".join((stack, project, "$".join(types), name))


def destroy(graph: Graph, account: Account, programs: Programs, report: Report, *, confirmed: bool) -> None:
    """Take a stack down; what is protected stays, with all that it depends on.

    Raises:
        ConfigurationError: the credentials are another account's, or Pulumi failed; the next run goes on from there.
    """
    wanted_account, found = str(graph.outputs["account_id"]), account.account_id()
    if found != wanted_account:
        raise ConfigurationError(f"signed in to account {found}; stack {graph.stack} is in {wanted_account}")
    report(f"stays: {', '.join(staying(graph)) or 'nothing'}")
    if not graph.named(BUCKET, "models").protect:
        for group in graph.of_type(MODELS):
            count = account.delete_models(str(group.inputs["modelPackageGroupName"]))
            report(f"deleted {count} model versions")
    programs.run(
        [
            "pulumi",
            "destroy",
            "--stack",
            graph.stack,
            "--exclude-protected",
            *(["--yes"] if confirmed else []),
        ]
    )


def staying(graph: Graph) -> list[str]:
    """Names of what outlives `destroy`: what is protected or retained, and what those depend on, as keys and roles."""
    kept = [each.urn for each in graph.resources if each.protect or each.retain_on_delete]
    if not kept:
        return []
    needed = set(with_needed(graph, kept))
    return [
        each.name
        for each in graph.resources
        if each.urn in needed and each.custom and not each.type.startswith(PROVIDERS)
    ]


def update_options(project: Path, stack: str, overrides: Mapping[str, str]) -> list[str]:
    """What tells `pulumi up` settings other than the stack's file; the file itself stays as it is committed.

    Pulumi saves what ``--config`` says in the file that it reads, which is therefore a copy.
    """
    if not overrides:
        return []
    copy = project / "build" / f"Pulumi.{stack}.yaml"
    copy.parent.mkdir(exist_ok=True)
    shutil.copyfile(project / f"Pulumi.{stack}.yaml", copy)
    settings = (part for key, value in overrides.items() for part in ("--config", f"{key}={value}"))
    return ["--config-file", str(copy), *settings]


def _up(stack: str, confirmed: bool, options: Sequence[str]) -> list[str]:
    return ["pulumi", "up", "--stack", stack, *options, *(["--yes"] if confirmed else [])]


def _push_images(
    graph: Graph, account: Account, programs: Programs, made_from: Mapping[str, Sequence[str]], report: Report
) -> None:
    missing = [each for each in wanted(graph) if not account.has_image(each.repository, each.tag)]
    if not missing:
        report("images: all there")
        return
    login = account.registry_login()
    programs.run(
        ["docker", "login", "--username", login.user, "--password-stdin", login.registry],
        given=login.password,
    )
    prefix = f"rayline-{graph.stack}-"
    for image in missing:
        report(f"image {image.address}")
        programs.run(build_command(image, image.repository.removeprefix(prefix), made_from))


def _give_sign_in_keys(graph: Graph, account: Account, report: Report) -> None:
    """Hand the API its user pool's public keys, which it cannot fetch, and start it again where they are new."""
    for pool in graph.of_type(USER_POOL):
        parameter = graph.named("aws:ssm/parameter:Parameter", "sign-in-keys")
        service = graph.named("aws:ecs/service:Service", "api-service")
        cluster = str(service.inputs["cluster"]).rpartition("/")[2]
        if account.give_sign_in_keys(str(pool.inputs["name"]), str(parameter.inputs["name"])):
            account.restart(cluster, str(service.inputs["name"]))
            report("gave the API its user pool's keys, and started it again")


def _draw_keys(graph: Graph, account: Account, report: Report) -> None:
    for secret in graph.of_type(SECRET):
        name = str(secret.inputs["name"])
        if name.rsplit("/", 1)[-1] in DRAWN_SECRETS and account.give_key(name):
            report(f"drew a key for {name}")
