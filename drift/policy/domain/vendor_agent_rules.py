"""The starter pack's rules for agents that update themselves, by their installation guides."""

from __future__ import annotations

from typing import Final

from drift.policy.domain.starter_rule import OWN_REGISTRY, StarterRule, starter_rule

VENDOR_AGENTS: Final = (
    StarterRule(
        "datadog",
        "Vendor agents",
        starter_rule(
            "Datadog agent",
            "Datadog agent",
            "The agent installs integrations and their interpreters in its own directory while it runs." + OWN_REGISTRY,
            resource={
                "image_name equals": [
                    "gcr.io/datadoghq/agent",
                    "public.ecr.aws/datadog/agent",
                    "docker.io/datadog/agent",
                ]
            },
            process={"process_path starts_with": ["/opt/datadog-agent/"]},
        ),
    ),
    StarterRule(
        "new-relic",
        "Vendor agents",
        starter_rule(
            "New Relic infrastructure agent",
            "New Relic agent",
            "The agent keeps and updates integrations in its own directory." + OWN_REGISTRY,
            resource={
                "image_name equals": [
                    "docker.io/newrelic/infrastructure-bundle",
                    "docker.io/newrelic/infrastructure-k8s",
                ]
            },
            process={"process_path starts_with": ["/var/db/newrelic-infra/"]},
        ),
    ),
    StarterRule(
        "dynatrace",
        "Vendor agents",
        starter_rule(
            "Dynatrace OneAgent",
            "OneAgent",
            "OneAgent downloads itself when it starts, and runs from its own directory." + OWN_REGISTRY,
            resource={
                "image_name equals": ["public.ecr.aws/dynatrace/dynatrace-oneagent", "docker.io/dynatrace/oneagent"]
            },
            process={"process_path starts_with": ["/opt/dynatrace/oneagent/"]},
        ),
    ),
)
