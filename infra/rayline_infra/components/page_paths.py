"""Paths of the viewer's pages: the viewer is one page, whose paths are its own and no objects of the bucket."""

import pulumi
import pulumi_aws as aws

from rayline.names import EstateNames

# What has an extension is a file. CloudFront runs it before its cache, so that all paths are one cached object.
CODE = """\
function handler(event) {
    var request = event.request;
    var name = request.uri.slice(request.uri.lastIndexOf('/') + 1);
    if (name.indexOf('.') === -1) {
        request.uri = '/index.html';
    }
    return request;
}
"""


def declare_page_paths(names: EstateNames, opts: pulumi.ResourceOptions) -> aws.cloudfront.Function:
    """Declare the function that makes ``/signed-in`` and its like the viewer's page, where S3 would answer 403."""
    return aws.cloudfront.Function(
        "viewer-page-paths",
        name=f"{names.prefix}-page-paths",
        comment="paths without an extension are the viewer's page",
        runtime="cloudfront-js-2.0",
        code=CODE,
        publish=True,
        opts=opts,
    )
