"""Which AWS services a package's code calls, read from its source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import botocore.session


def called_services(package: Path) -> set[str]:
    """Names of the boto3 clients that the modules below a folder make.

    Raises:
        ValueError: a client's name is no literal, so nobody can tell which service it calls.
    """
    return {name for path in sorted(package.rglob("*.py")) for name in _clients(path)}


def _clients(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("client", "resource")
            and (node.args or any(each.arg == "service_name" for each in node.keywords))
        ):
            name = node.args[0] if node.args else None
            if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
                raise ValueError(f"{path}:{node.lineno} makes a client whose service is no literal")
            yield name.value


def host_names(client: str) -> set[str]:
    """The hosts that a boto3 client talks to, below the region, e.g. ``runtime-medical-imaging``."""
    model = botocore.session.Session().get_service_model(client)
    host = str(model.endpoint_prefix)
    prefixes = {
        str((model.operation_model(name).endpoint or {}).get("hostPrefix", ""))
        for name in model.operation_names
    }
    # A prefix in braces is a bucket's or an account's name.
    return {f"{prefix}{host}" for prefix in prefixes if "{" not in prefix}


def privatelink_name(host: str) -> str:
    """A host as PrivateLink names its service: ``api.sagemaker`` is ``sagemaker.api``."""
    return ".".join(reversed(host.split(".")))
