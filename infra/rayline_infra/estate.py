"""The order in which the estate is built."""

from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from rayline.names import ENDPOINT_VARIANT, EstateNames, ServiceKind
from rayline_infra.components.api import Api, ApiArgs
from rayline_infra.components.audit import Audit, AuditArgs, Recorded
from rayline_infra.components.budget import Budget, BudgetArgs
from rayline_infra.components.certificates import Certificates, CertificatesArgs
from rayline_infra.components.cluster import Cluster, ClusterArgs
from rayline_infra.components.events import MAX_RECEIVE_COUNT, Routes, RoutesArgs
from rayline_infra.components.firewall import WEB_ACLS, Firewall, FirewallArgs
from rayline_infra.components.gateway import Gateway, GatewayArgs
from rayline_infra.components.identity import Grants, GrantsArgs, Roles, RolesArgs
from rayline_infra.components.imaging import Datastore, DatastoreArgs
from rayline_infra.components.keys import Keys, KeysArgs
from rayline_infra.components.network import Network, NetworkArgs
from rayline_infra.components.observability import (
    Observability,
    ObservabilityArgs,
    Place,
    Places,
    ServiceLogs,
    ServiceLogsArgs,
    Topics,
    TopicsArgs,
    hourly_prices,
    named_places,
)
from rayline_infra.components.processor_service import ProcessorService, ProcessorServiceArgs
from rayline_infra.components.registry import Registry, RegistryArgs
from rayline_infra.components.replication import (
    Replication,
    ReplicationArgs,
    ReplicationRoles,
    ReplicationRolesArgs,
)
from rayline_infra.components.secrets import Secrets, SecretsArgs
from rayline_infra.components.services import Placement
from rayline_infra.components.sign_in import SignIn, SignInArgs
from rayline_infra.components.storage import Buckets, BucketsArgs
from rayline_infra.components.tasks import TaskRoles, environment_of
from rayline_infra.components.tracking import TABLE_KEYS, Tables, TablesArgs
from rayline_infra.components.training import Endpoint, EndpointArgs, Pipeline, PipelineArgs, served_model
from rayline_infra.components.viewer_delivery import ViewerDelivery, ViewerDeliveryArgs
from rayline_infra.policies.replication import Copies
from rayline_infra.settings import StackSettings
from rayline_infra.settings.events import seconds_of


class Estate(pulumi.ComponentResource):
    """All of one stack: roles, then keys that name them, then what the keys encrypt, then what runs."""

    def __init__(self, name: str, settings: StackSettings) -> None:
        # The provider is explicit and knows its account: a stack cannot land in another one.
        provider = aws.Provider(
            "aws",
            region=settings.site.region,
            allowed_account_ids=[settings.site.account_id],
            default_tags=aws.ProviderDefaultTagsArgs(
                tags={"application": "rayline", "stack": settings.stack, "site": settings.site.name}
            ),
        )
        super().__init__("rayline:estate:Estate", name, None, pulumi.ResourceOptions(providers=[provider]))
        self.settings = settings
        self.names = EstateNames(settings.stack, settings.site.account_id, settings.site.region)
        self._child = pulumi.ResourceOptions(parent=self)
        self._identify()
        self._store()
        self._connect()
        self._enclose()
        self._run()
        self._audit()
        self._observe()
        self.register_outputs({})

    def _identify(self) -> None:
        """Roles and keys."""
        self.roles = Roles(
            "roles",
            RolesArgs(
                self.names,
                operator_principal_pattern=self.settings.site.operator_principal_pattern,
                reviewer_principal_pattern=self.settings.site.reviewer_principal_pattern,
                uploader_principal_pattern=self.settings.site.uploader_principal_pattern,
                deployer_principal_pattern=self.settings.site.deployer_principal_pattern,
            ),
            self._child,
        )
        storage = self.settings.storage
        self.copies = Copies(storage.original_archive, storage.replica_region)
        self.replication_roles = ReplicationRoles(
            "replication-roles", ReplicationRolesArgs(self.names, self.copies), self._child
        )
        # KMS refuses a key policy that names a role which does not exist yet.
        self.keys = Keys(
            "keys",
            KeysArgs(self.names, self.copies, storage.key_deletion_days),
            pulumi.ResourceOptions(parent=self, depends_on=[self.roles, self.replication_roles]),
        )

    def _store(self) -> None:
        """Buckets, tables, secrets and the data store."""
        settings, keys = self.settings, self.keys
        self.buckets = Buckets(
            "buckets",
            BucketsArgs(
                self.names,
                keys,
                self.copies,
                settings.storage,
                settings.audit,
                settings.site.deletion_protection,
            ),
            self._child,
        )
        self.replication = Replication(
            "replication",
            ReplicationArgs(
                self.names,
                self.copies,
                self.replication_roles,
                self.buckets.versioned(),
                self.buckets.versioned_replicas(),
                {zone: keys.arn(zone) for zone in self.copies.zones},
                {zone: keys.replica_arn(zone) for zone in self.copies.zones},
            ),
            self._child,
        )
        self.tables = Tables(
            "tables",
            TablesArgs(self.names, keys.arn("tracking"), settings.site.deletion_protection),
            self._child,
        )
        self.secrets = Secrets(
            "secrets",
            SecretsArgs(
                self.names,
                keys.arn("secrets"),
                settings.storage.secret_recovery_days,
                settings.storage.plugin_secrets,
                settings.gateway.tls,
            ),
            self._child,
        )
        self.datastore = Datastore(
            "imaging", DatastoreArgs(self.names, keys.arn("deidentified")), self._child
        )

    def _connect(self) -> None:
        """Event routes, and what each role may do."""
        self.topics = Topics("topics", TopicsArgs(self.names, self.keys.arn("logs")), self._child)
        self.routes = Routes(
            "routes",
            RoutesArgs(
                self.names,
                self.settings.site.name,
                self.datastore.datastore_id,
                self.keys.arn("identified"),
                {"alarms": self.topics.arn("alarms"), "notices": self.topics.arn("notices")},
                self.settings.processor.visibility_seconds,
                self.settings.events,
                self.settings.training.endpoint,
            ),
            self._child,
        )
        self.grants = Grants(
            "grants",
            GrantsArgs(self.names, self.roles, self.keys.arns(), self.datastore.arn, self.secrets.arns()),
            self._child,
        )

    def _enclose(self) -> None:
        """The network in which everything runs."""
        self.network = Network(
            "network",
            NetworkArgs(
                names=self.names,
                network=self.settings.network,
                dimse_port=self.settings.gateway.port,
                granted=self.grants.granted,
                flow_logs_role_arn=self.roles.arn("flow-logs"),
                logs_key_arn=self.keys.arn("logs"),
            ),
            # A flow log is refused where its role may not write yet.
            pulumi.ResourceOptions(parent=self, depends_on=[self.grants]),
        )

    def _run(self) -> None:
        """The pipeline and the processor."""
        self.training = Pipeline(
            "training",
            PipelineArgs(
                self.names,
                self.settings.training,
                self.roles.arn("training"),
                self.keys.arn("deidentified"),
                self.network.private_subnet_ids,
                self.network.security_group_id("training"),
            ),
            # SageMaker checks at CreatePipeline that the role may be passed.
            pulumi.ResourceOptions(parent=self, depends_on=[self.grants]),
        )
        self.environment = environment_of(self._processor_fields())
        self._serve()
        self._infer()

    def _serve(self) -> None:
        """What runs in containers."""
        settings, names = self.settings, self.names
        self.registry = Registry(
            "registry",
            RegistryArgs(names, self.keys.arn("deidentified"), settings.site.deletion_protection),
            self._child,
        )
        self.service_logs = ServiceLogs(
            "service-logs",
            ServiceLogsArgs(
                names, self.keys.arn("logs"), settings.storage.log_days, settings.training.endpoint
            ),
            self._child,
        )
        self.cluster = Cluster(
            "cluster",
            ClusterArgs(names, self.keys.arn("identified")),
            # ECS would make the log group itself, without a key.
            pulumi.ResourceOptions(parent=self, depends_on=[self.service_logs]),
        )
        collector_tag = settings.processor.collector_image_tag
        collector_image = self.registry.image("collector", collector_tag) if collector_tag else None
        # A task that starts before its role may read secrets, or has a way to them, is rolled back.
        ready = [self.network, self.grants, self.cluster]
        self.processor = ProcessorService(
            "processor",
            ProcessorServiceArgs(
                names=names,
                processor=settings.processor,
                placement=self._placement("processor"),
                roles=self._task_roles("processor"),
                image=self.registry.image("processor", settings.processor.image_tag),
                collector_image=collector_image,
                logs_key_arn=self.keys.arn("logs"),
                log_days=settings.storage.log_days,
                environment=self.environment,
                secrets={
                    "RAYLINE_SECRET_TRACKING": self.secrets.arn("tracking"),
                    "RAYLINE_SECRET_DEID": self.secrets.arn("deid"),
                    **self.secrets.of_plugins(),
                },
            ),
            self._child,
            depends_on=ready,
        )

        self._serve_people(collector_image, ready)
        self.gateway = Gateway(
            "gateway",
            GatewayArgs(
                names=names,
                gateway=settings.gateway,
                placement=self._placement("gateway"),
                vpc_id=self.network.vpc_id,
                balancer_security_group_id=self.network.security_group_id("gateway-balancer"),
                roles=self._task_roles("gateway"),
                image=self.registry.image("gateway", settings.gateway.image_tag),
                collector_image=collector_image,
                logs_key_arn=self.keys.arn("logs"),
                log_days=settings.storage.log_days,
                environment=self.environment,
                secrets=self.secrets.of_dimse(),
                peer_networks=[settings.network.vpc_cidr, *settings.network.hospital_cidrs],
                health_port=settings.processor.health_port,
                deletion_protection=settings.site.deletion_protection,
            ),
            self._child,
            depends_on=ready,
        )

    def _infer(self) -> None:
        """The endpoint that serves an approved model."""
        if not self.settings.training.endpoint:
            return
        Endpoint(
            "inference",
            EndpointArgs(
                self.names,
                self.settings.training,
                self.roles.arn("endpoint"),
                self.keys.arn("deidentified"),
                self.network.private_subnet_ids,
                self.network.security_group_id("inference"),
            ),
            # SageMaker pulls image and model under the role as soon as the endpoint is made.
            pulumi.ResourceOptions(
                parent=self, depends_on=[self.grants, self.registry, self.training, self.service_logs]
            ),
        )

    def _serve_people(
        self, collector_image: pulumi.Output[str] | None, ready: Sequence[pulumi.Resource]
    ) -> None:
        """The API, who may sign in to it, and the one public door."""
        settings, names = self.settings, self.names
        protected = settings.site.deletion_protection
        logs_key_arn, log_days = self.keys.arn("logs"), settings.storage.log_days
        self.certificates = Certificates(
            "certificates",
            CertificatesArgs(settings.api.domain_name, settings.api.hosted_zone_id, settings.site.region),
            self._child,
        )
        self.sign_in = SignIn(
            "sign-in", SignInArgs(names, settings.api, protected, logs_key_arn, log_days), self._child
        )
        self.api = Api(
            "api",
            ApiArgs(
                names=names,
                api=settings.api,
                sign_in=self.sign_in,
                placement=self._placement("api"),
                vpc_id=self.network.vpc_id,
                balancer_security_group_id=self.network.security_group_id("load-balancer"),
                certificate_arn=self.certificates.balancer_arn,
                access_logs_bucket=names.bucket("access-logs"),
                roles=self._task_roles("api"),
                image=self.registry.image("api", settings.api.image_tag),
                collector_image=collector_image,
                logs_key_arn=logs_key_arn,
                log_days=log_days,
                environment=self.environment,
                deletion_protection=protected,
                reaches_the_internet=settings.network.nat_gateways > 0,
            ),
            # ELB refuses a bucket for its logs that it may not write to yet.
            pulumi.ResourceOptions(parent=self, depends_on=[self.buckets]),
            depends_on=ready,
        )
        firewalls = {
            kind: Firewall(
                f"{kind}-firewall",
                FirewallArgs(
                    names=names,
                    kind=kind,
                    scope=scope,
                    requests_per_five_minutes=settings.api.waf_requests_per_five_minutes,
                    logs_key_arn=logs_key_arn,
                    log_days=log_days,
                    behind_cloudfront=kind == "api",
                ),
                self._child,
            )
            for kind, scope in WEB_ACLS.items()
        }
        firewalls["api"].protect("api", self.api.balancer.arn)
        firewalls["sign-in"].protect("sign-in", self.sign_in.pool.arn)
        self.delivery = ViewerDelivery(
            "delivery",
            ViewerDeliveryArgs(
                names=names,
                api=settings.api,
                balancer_arn=self.api.balancer.arn,
                balancer_dns_name=self.api.balancer.dns_name,
                certificate_arn=self.certificates.cloudfront_arn,
                web_acl_arn=firewalls["viewer"].web_acl.arn,
            ),
            # CloudFront reaches only into a VPC that has its internet gateway.
            pulumi.ResourceOptions(parent=self, depends_on=[self.buckets, self.network]),
        )

    def _placement(self, kind: ServiceKind) -> Placement:
        return Placement(
            cluster_arn=self.cluster.arn,
            subnet_ids=self.network.private_subnet_ids,
            security_group_id=self.network.security_group_id(kind),
        )

    def _task_roles(self, kind: ServiceKind) -> TaskRoles:
        return TaskRoles(self.roles.arn(kind), self.roles.arn("execution"))

    def _audit(self) -> None:
        """Who did what, and what it costs."""
        settings, names = self.settings, self.names
        self.audit = Audit(
            "audit",
            AuditArgs(
                names=names,
                settings=settings.audit,
                logs=self.buckets.declared("logs"),
                access_logs=self.buckets.declared("access-logs"),
                logs_key_arn=self.keys.arn("logs"),
                log_days=settings.storage.log_days,
                recorded=Recorded(
                    self.buckets.data_arns(),
                    [names.table_arn(kind) for kind in TABLE_KEYS],
                    self.datastore.arn,
                ),
            ),
            self._child,
        )
        self.budget = Budget(
            "budget", BudgetArgs(names, settings.cost, self.topics.arn("notices")), self._child
        )

    def _observe(self) -> None:
        """What tells people that something needs them."""
        services: tuple[ServiceKind, ...] = ("processor", "api", "gateway")
        self.observability = Observability(
            "observability",
            ObservabilityArgs(
                names=self.names,
                settings=self.settings.observability,
                reconcile_seconds=seconds_of(self.settings.events.reconcile_rate),
                places=self._places(),
                topics=self.topics.arns(),
                service_log_groups=[self.names.service_log_group(kind) for kind in services],
                trail_log_groups=self.audit.trail_log_groups,
                prices=hourly_prices(self.settings.training),
            ),
            # A saved query is refused where a log group that it asks is not there yet.
            pulumi.ResourceOptions(
                parent=self, depends_on=[self.processor, self.api, self.gateway, self.audit]
            ),
        )

    def _places(self) -> Places:
        """What metrics call the resources that dashboards and alarms watch."""
        places: dict[Place, pulumi.Input[str]] = {
            **named_places(self.names, self.settings.site.name),
            Place.API_BALANCER: self.api.balancer.arn_suffix,
            Place.GATEWAY_BALANCER: self.gateway.balancer.arn_suffix,
            Place.CERTIFICATE: self.certificates.balancer_arn,
        }
        for log_group in self.audit.trail_log_groups:
            places[Place.TRAIL_LOG_GROUP] = log_group
        if self.settings.training.endpoint:
            places[Place.ENDPOINT] = self.names.endpoint
            places[Place.ENDPOINT_VARIANT] = ENDPOINT_VARIANT
        return places

    def _processor_fields(self) -> Mapping[str, pulumi.Input[str]]:
        processor = self.settings.processor
        return {
            "site": self.settings.site.name,
            "stack": self.settings.stack,
            "queue_url": self.routes.queue.url,
            "dead_letter_queue_url": self.routes.dead_letter_queue.url,
            "max_receive_count": str(MAX_RECEIVE_COUNT),
            "event_bus": self.routes.bus.name,
            "uploads_bucket": self.buckets.name("uploads"),
            "quarantine_bucket": self.buckets.name("quarantine"),
            "imports_bucket": self.buckets.name("imports"),
            "preprocessed_bucket": self.buckets.name("preprocessed"),
            "models_bucket": self.buckets.name("models"),
            "reports_bucket": self.buckets.name("reports"),
            "image_tracking_table": self.tables.name("image-tracking"),
            "effects_table": self.tables.name("effects"),
            "model_metrics_table": self.tables.name("model-metrics"),
            "datastore_id": self.datastore.datastore_id,
            "import_role_arn": self.roles.arn("import"),
            "pipeline_name": self.training.pipeline.pipeline_name,
            "model_package_group": self.training.model_package_group.model_package_group_name,
            "endpoint_model": served_model(self.names, self.settings.training),
            "site_profile": self.settings.site.site_profile,
            "verified_per_training": str(processor.verified_per_training),
            "batch_quiet_seconds": f"{processor.batch_quiet_seconds:g}",
            "lease_seconds": f"{processor.lease_seconds:g}",
            "clock_skew_seconds": f"{processor.clock_skew_seconds:g}",
            "visibility_seconds": str(processor.visibility_seconds),
            "study_quiet_seconds": f"{processor.study_quiet_seconds:g}",
            "park_after_seconds": f"{processor.park_after_seconds:g}",
            "workers": str(processor.workers),
            "health_port": str(processor.health_port),
        }
