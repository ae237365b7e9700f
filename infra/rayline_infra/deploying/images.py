"""The images that a stack's tasks and jobs name, and how each is made."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rayline_infra.policies.graph import Graph

REPOSITORY = "aws:ecr/repository:Repository"
TASK_DEFINITION = "aws:ecs/taskDefinition:TaskDefinition"
PIPELINE = "aws:sagemaker/pipeline:Pipeline"
PLATFORM = "linux/amd64"
# SageMaker serves Docker's manifests only, neither OCI's nor the index that provenance makes of one image
# (aws/amazon-sagemaker-feedback, issue 180).
PUSHED = ("--provenance=false", "--sbom=false", "--output", "type=registry,oci-mediatypes=false")
# By repository kind: what `docker buildx build` takes, or the repository that the same tag is copied from.
MADE_FROM: Mapping[str, Sequence[str]] = {
    "processor": ("--file", "processor/Dockerfile", "--target", "processor"),
    "api": ("--file", "processor/Dockerfile", "--target", "api"),
    "gateway": ("--file", "processor/Dockerfile", "--target", "gateway"),
    "training": ("--file", "training/Dockerfile"),
    # With the index, and so the digest, that AWS published.
    "collector": ("copy", "public.ecr.aws/aws-observability/aws-otel-collector"),
}


# Those that this repository's commit makes; the collector's tag is AWS's.
TAG_SETTINGS = (
    "rayline:processorImageTag",
    "rayline:apiImageTag",
    "rayline:gatewayImageTag",
    "rayline:trainingImageTag",
)


@dataclass(frozen=True)
class Image:
    """One image of ours that the stack runs: a repository's name, its address and the tag."""

    repository: str
    url: str
    tag: str

    @property
    def address(self) -> str:
        """What tasks name, and what is pushed."""
        return f"{self.url}:{self.tag}"


def tagged(tag: str | None) -> dict[str, str]:
    """Settings that have the stack run the images of one tag; none where there is no tag."""
    return dict.fromkeys(TAG_SETTINGS, tag) if tag else {}


def wanted(graph: Graph) -> list[Image]:
    """Every image of the stack's own repositories that a task definition or the pipeline names."""
    found = {
        Image(str(repository.inputs["name"]), url, match[1])
        for repository in graph.of_type(REPOSITORY)
        for url in (str(repository.outputs["repositoryUrl"]),)
        for text in _texts(graph)
        for match in re.finditer(re.escape(url) + r":([\w][\w.-]*)", text)
    }
    return sorted(found, key=lambda each: each.address)


def build_command(image: Image, kind: str, made_from: Mapping[str, Sequence[str]]) -> list[str]:
    """The command that builds an image, or copies one that others make, and pushes it."""
    source = made_from[kind]
    if source[0] == "copy":
        return [
            "docker",
            "buildx",
            "imagetools",
            "create",
            "--tag",
            image.address,
            f"{source[1]}:{image.tag}",
        ]
    return [
        "docker", "buildx", "build", "--platform", PLATFORM, *PUSHED, "--tag", image.address, *source, ".",
    ]  # fmt: skip


def _texts(graph: Graph) -> Iterator[str]:
    for task in graph.of_type(TASK_DEFINITION):
        for container in json.loads(task.inputs["containerDefinitions"]):
            yield str(container["image"])
    for pipeline in graph.of_type(PIPELINE):
        yield str(pipeline.inputs["pipelineDefinition"])
