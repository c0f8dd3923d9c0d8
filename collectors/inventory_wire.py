"""The shapes of Kubernetes objects: only the fields that an inventory reads.

Source: the Kubernetes API reference, 1.31 to 1.34 (core/v1, apps/v1, batch/v1, discovery.k8s.io/v1,
admissionregistration.k8s.io/v1, apiextensions.k8s.io/v1, apiregistration.k8s.io/v1).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct, field

Port = Annotated[int, Meta(ge=0, le=65_535)]
Time = datetime | None


class Owner(Struct, rename="camel"):
    """metav1.OwnerReference."""

    kind: str
    name: str
    controller: bool = False


class Metadata(Struct, rename="camel"):
    """metav1.ObjectMeta. A cluster-scoped object has no namespace."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    creation_timestamp: Time = None
    owner_references: list[Owner] = field(default_factory=list)


class ContainerPort(Struct, rename="camel"):
    """v1.ContainerPort."""

    container_port: Port
    name: str = ""
    protocol: str = "TCP"


class ProbeTarget(Struct, rename="camel"):
    """v1.HTTPGetAction, v1.TCPSocketAction or v1.GRPCAction."""

    port: int | str | None = None


class Probe(Struct, rename="camel"):
    """v1.Probe; one that runs a command has no target."""

    http_get: ProbeTarget | None = None
    tcp_socket: ProbeTarget | None = None
    grpc: ProbeTarget | None = None


class EnvVar(Struct, rename="camel"):
    """v1.EnvVar; one with a source has no value here."""

    name: str
    value: str = ""


class Container(Struct, rename="camel"):
    """v1.Container."""

    name: str = ""
    image: str = ""
    restart_policy: str = ""
    env: list[EnvVar] = field(default_factory=list)
    ports: list[ContainerPort] = field(default_factory=list)
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None


class PodSpec(Struct, rename="camel"):
    """v1.PodSpec."""

    containers: list[Container] = field(default_factory=list)
    init_containers: list[Container] = field(default_factory=list)
    service_account_name: str | None = None
    host_network: bool = False


class PodIP(Struct, rename="camel"):
    """v1.PodIP."""

    ip: str = ""


class Terminated(Struct, rename="camel"):
    """v1.ContainerStateTerminated."""

    finished_at: Time = None


class ContainerState(Struct, rename="camel"):
    """v1.ContainerState."""

    terminated: Terminated | None = None


class ContainerStatus(Struct, rename="camel"):
    """v1.ContainerStatus."""

    state: ContainerState | None = None


class PodStatus(Struct, rename="camel"):
    """v1.PodStatus."""

    phase: str = ""
    pod_ip: str = field(default="", name="podIP")
    pod_ips: list[PodIP] = field(default_factory=list, name="podIPs")
    container_statuses: list[ContainerStatus] = field(default_factory=list)


class PodObject(Struct, rename="camel"):
    """v1.Pod."""

    metadata: Metadata
    spec: PodSpec = field(default_factory=PodSpec)
    status: PodStatus = field(default_factory=PodStatus)


class PodTemplate(Struct, rename="camel"):
    """v1.PodTemplateSpec."""

    metadata: Metadata = field(default_factory=Metadata)
    spec: PodSpec = field(default_factory=PodSpec)


class JobSpec(Struct, rename="camel"):
    """batch/v1.JobSpec."""

    template: PodTemplate = field(default_factory=PodTemplate)


class JobTemplate(Struct, rename="camel"):
    """batch/v1.JobTemplateSpec."""

    spec: JobSpec = field(default_factory=JobSpec)


class ControllerSpec(Struct, rename="camel"):
    """The spec of a controller: all but CronJob have ``template``."""

    template: PodTemplate | None = None
    job_template: JobTemplate | None = None
    schedule: str = ""
    suspend: bool = False


class TemplateObject(Struct, rename="camel"):
    """apps/v1 Deployment, StatefulSet, DaemonSet; batch/v1 Job, CronJob."""

    metadata: Metadata
    spec: ControllerSpec = field(default_factory=ControllerSpec)


class ReplicaSetObject(TemplateObject, rename="camel"):
    """apps/v1.ReplicaSet."""


class ServicePortSpec(Struct, rename="camel"):
    """v1.ServicePort."""

    port: Port
    name: str = ""
    protocol: str = "TCP"
    target_port: int | str | None = None


class ServiceSpec(Struct, rename="camel"):
    """v1.ServiceSpec."""

    type: str = "ClusterIP"
    cluster_ip: str = field(default="", name="clusterIP")
    cluster_ips: list[str] = field(default_factory=list, name="clusterIPs")
    external_ips: list[str] = field(default_factory=list, name="externalIPs")
    external_traffic_policy: str = "Cluster"
    load_balancer_source_ranges: list[str] = field(default_factory=list)
    selector: dict[str, str] | None = None
    ports: list[ServicePortSpec] = field(default_factory=list)


class Ingress(Struct, rename="camel"):
    """v1.LoadBalancerIngress; one with a host name alone has no address."""

    ip: str = ""


class LoadBalancer(Struct, rename="camel"):
    """v1.LoadBalancerStatus."""

    ingress: list[Ingress] = field(default_factory=list)


class ServiceStatus(Struct, rename="camel"):
    """v1.ServiceStatus."""

    load_balancer: LoadBalancer = field(default_factory=LoadBalancer)


class ServiceObject(Struct, rename="camel"):
    """v1.Service."""

    metadata: Metadata
    spec: ServiceSpec = field(default_factory=ServiceSpec)
    status: ServiceStatus = field(default_factory=ServiceStatus)


class SliceEndpoint(Struct, rename="camel"):
    """discovery.k8s.io/v1.Endpoint."""

    addresses: list[str] = field(default_factory=list)


class SlicePort(Struct, rename="camel"):
    """discovery.k8s.io/v1.EndpointPort."""

    name: str = ""
    port: Port | None = None
    protocol: str = "TCP"


class EndpointSlice(Struct, rename="camel"):
    """discovery.k8s.io/v1.EndpointSlice."""

    metadata: Metadata
    address_type: str = "IPv4"
    endpoints: list[SliceEndpoint] = field(default_factory=list)
    ports: list[SlicePort] = field(default_factory=list)


class NodeAddress(Struct, rename="camel"):
    """v1.NodeAddress."""

    type: str
    address: str


class NodeInfo(Struct, rename="camel"):
    """v1.NodeSystemInfo."""

    kubelet_version: str = ""


class NodeCondition(Struct, rename="camel"):
    """v1.NodeCondition."""

    last_heartbeat_time: Time = None


class NodeStatus(Struct, rename="camel"):
    """v1.NodeStatus."""

    conditions: list[NodeCondition] = field(default_factory=list)

    node_info: NodeInfo = field(default_factory=NodeInfo)
    addresses: list[NodeAddress] = field(default_factory=list)


class NodeObject(Struct, rename="camel"):
    """v1.Node."""

    metadata: Metadata
    status: NodeStatus = field(default_factory=NodeStatus)


class NamespaceObject(Struct, rename="camel"):
    """v1.Namespace."""

    metadata: Metadata


class ServiceReference(Struct, rename="camel"):
    """admissionregistration.k8s.io/v1.ServiceReference, and those of CRDs and APIServices."""

    namespace: str
    name: str
    port: Port = 443


class ClientConfig(Struct, rename="camel"):
    """WebhookClientConfig: a Service, or a URL."""

    service: ServiceReference | None = None
    url: str = ""


class Webhook(Struct, rename="camel"):
    """admissionregistration.k8s.io/v1 ValidatingWebhook and MutatingWebhook."""

    client_config: ClientConfig = field(default_factory=ClientConfig)
    failure_policy: str = "Fail"


class WebhookObject(Struct, rename="camel"):
    """ValidatingWebhookConfiguration and MutatingWebhookConfiguration."""

    metadata: Metadata
    webhooks: list[Webhook] = field(default_factory=list)


class ConversionWebhook(Struct, rename="camel"):
    """apiextensions.k8s.io/v1.WebhookConversion."""

    client_config: ClientConfig = field(default_factory=ClientConfig)


class Conversion(Struct, rename="camel"):
    """apiextensions.k8s.io/v1.CustomResourceConversion."""

    webhook: ConversionWebhook | None = None


class DefinitionSpec(Struct, rename="camel"):
    """apiextensions.k8s.io/v1.CustomResourceDefinitionSpec."""

    conversion: Conversion | None = None


class DefinitionObject(Struct, rename="camel"):
    """apiextensions.k8s.io/v1.CustomResourceDefinition."""

    metadata: Metadata
    spec: DefinitionSpec = field(default_factory=DefinitionSpec)


class ApiServiceSpec(Struct, rename="camel"):
    """apiregistration.k8s.io/v1.APIServiceSpec; a local API has no Service."""

    service: ServiceReference | None = None


class ApiServiceObject(Struct, rename="camel"):
    """apiregistration.k8s.io/v1.APIService."""

    metadata: Metadata
    spec: ApiServiceSpec = field(default_factory=ApiServiceSpec)
