"""Which resource a metric is about: what tables of metrics say, and each stack fills in."""

from collections.abc import Mapping
from enum import StrEnum

import pulumi

from rayline.names import EstateNames


class Place(StrEnum):
    """A resource as metrics name it; the value stands for it in sentences and expressions."""

    SITE = "site"
    QUEUE = "event queue"
    DEAD_LETTER_QUEUE = "dead-letter queue"
    NOTICES_DEAD_LETTER_QUEUE = "dead-letter queue of notices"
    SCHEDULES_DEAD_LETTER_QUEUE = "dead-letter queue of schedules"
    EVENT_BUS = "event bus"
    UPLOADED_RULE = "rule of uploads"
    INGESTED_RULE = "rule of imports"
    VERIFIED_RULE = "rule of verifications"
    TRAINED_RULE = "rule of trainings"
    EVALUATED_RULE = "rule of evaluations"
    TRACKING_TABLE = "tracking table"
    EFFECTS_TABLE = "effects table"
    UPLOADS_BUCKET = "uploads bucket"
    MODELS_BUCKET = "models bucket"
    PIPELINE = "pipeline"
    CLUSTER = "cluster"
    PROCESSOR_SERVICE = "processor service"
    API_SERVICE = "api service"
    GATEWAY_SERVICE = "gateway service"
    API_BALANCER = "load balancer of the API"
    GATEWAY_BALANCER = "load balancer of the gateway"
    CERTIFICATE = "certificate"
    TRAIL_LOG_GROUP = "log group of the trail"
    ENDPOINT = "endpoint"
    ENDPOINT_VARIANT = "variant of the endpoint"


Places = Mapping[Place, pulumi.Input[str]]
"""What each place is called in one stack; a stack without an endpoint has none."""

KnownPlaces = Mapping[Place, str]
"""The same when everything is known."""


def named_places(names: EstateNames, site: str) -> dict[Place, str]:
    """The places that are known by their names alone."""
    return {
        Place.SITE: site,
        Place.QUEUE: names.queue,
        Place.DEAD_LETTER_QUEUE: names.dead_letter_queue,
        Place.NOTICES_DEAD_LETTER_QUEUE: names.notices_dead_letter_queue,
        Place.SCHEDULES_DEAD_LETTER_QUEUE: names.schedules_dead_letter_queue,
        Place.EVENT_BUS: names.event_bus,
        Place.UPLOADED_RULE: names.rule("uploaded"),
        Place.INGESTED_RULE: names.rule("ingested"),
        Place.VERIFIED_RULE: names.rule("verified"),
        Place.TRAINED_RULE: names.rule("trained"),
        Place.EVALUATED_RULE: names.rule("evaluated"),
        Place.TRACKING_TABLE: names.table("image-tracking"),
        Place.EFFECTS_TABLE: names.table("effects"),
        Place.UPLOADS_BUCKET: names.bucket("uploads"),
        Place.MODELS_BUCKET: names.bucket("models"),
        Place.PIPELINE: names.pipeline,
        Place.CLUSTER: names.cluster,
        Place.PROCESSOR_SERVICE: names.service("processor"),
        Place.API_SERVICE: names.service("api"),
        Place.GATEWAY_SERVICE: names.service("gateway"),
    }
