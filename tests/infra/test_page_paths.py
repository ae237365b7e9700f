"""The viewer is one page: its paths are the page, its files and the API's paths stay what they are."""

import json
import os
import shutil
import subprocess

import pytest

from rayline_infra.components.page_paths import CODE
from rayline_infra.policies.graph import Graph

NODE = shutil.which("node")
RUN = "const paths = JSON.parse(process.argv[1]); " + (
    "console.log(JSON.stringify(paths.map(uri => handler({request: {uri, querystring: {a: {value: '1'}}}}))))"
)


@pytest.mark.skipif(
    NODE is None and os.environ.get("CI") != "true", reason="no node to run CloudFront's JavaScript with"
)
def test_paths_without_an_extension_are_the_page_and_files_stay_files() -> None:
    assert NODE is not None
    expected = {
        "/": "/index.html",
        "/signed-in": "/index.html",
        "/studies/1.2.840.113619/": "/index.html",
        "/v1.2/series": "/index.html",
        "/index.html": "/index.html",
        "/assets/viewer-3f2a.js": "/assets/viewer-3f2a.js",
        "/decoders/openjph.wasm": "/decoders/openjph.wasm",
        "/.well-known/security.txt": "/.well-known/security.txt",
    }
    answer = subprocess.run(
        [NODE, "-e", f"{CODE}\n{RUN}", json.dumps(list(expected))], capture_output=True, text=True, check=True
    )
    requests = json.loads(answer.stdout)
    assert [each["uri"] for each in requests] == list(expected.values())
    # The authorization code of the sign-in stands in the query, which the page reads.
    assert all(each["querystring"] == {"a": {"value": "1"}} for each in requests)


def test_pages_are_asked_for_by_the_function_and_the_api_is_not(graph: Graph) -> None:
    function = graph.named("aws:cloudfront/function:Function", "viewer-page-paths")
    assert function.inputs["code"] == CODE
    assert function.inputs["publish"] is True
    # CloudFront developer guide, "CloudFront Functions quotas": 10 KB of code.
    assert len(CODE) < 10_000
    (distribution,) = graph.of_type("aws:cloudfront/distribution:Distribution")
    pages = distribution.inputs["defaultCacheBehavior"]
    assert pages["functionAssociations"] == [
        {"eventType": "viewer-request", "functionArn": function.outputs["arn"]}
    ]
    for behaviour in distribution.inputs["orderedCacheBehaviors"]:
        assert not behaviour.get("functionAssociations"), behaviour["pathPattern"]
