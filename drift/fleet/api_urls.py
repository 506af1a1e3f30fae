"""The fleet's API under /api/v1/: what sensors call, then what people's programs do."""

from __future__ import annotations

from django.urls import path

from drift.fleet.api import bundles
from drift.fleet.api import fleet as people
from drift.fleet.api import rollout_control as steering
from drift.fleet.api import sensors as sensor

app_name = "fleet-api"
urlpatterns = [
    path("sensors/enrol", sensor.Enrol.as_view(), name="enrol"),
    path("sensors/me/policy", sensor.Policy.as_view(), name="policy"),
    path("sensors/me/policy/status", sensor.PolicyStatus.as_view(), name="policy-status"),
    path("sensors/me/heartbeat", sensor.Heartbeat.as_view(), name="heartbeat"),
    path("sensors/me/stream-ticket", sensor.StreamTicket.as_view(), name="stream-ticket"),
    path("environments/", people.Environments.as_view(), name="environments"),
    path("environments/<int:pk>/", people.EnvironmentDetail.as_view(), name="environment"),
    path("clusters/", people.Clusters.as_view(), name="clusters"),
    path("sensors/", people.Sensors.as_view(), name="sensors"),
    path("sensors/<uuid:pk>/", people.SensorDetail.as_view(), name="sensor"),
    path("sensors/<uuid:pk>/revoke/", people.RevokeSensor.as_view(), name="sensor-revoke"),
    path("sensors/<uuid:pk>/release/", people.ReleaseSensor.as_view(), name="sensor-release"),
    path("enrolment-tokens/", people.EnrolmentTokens.as_view(), name="enrolment-tokens"),
    path("enrolment-tokens/<int:pk>/revoke/", people.RevokeEnrolmentToken.as_view(), name="enrolment-token-revoke"),
    path("rollouts/", people.Rollouts.as_view(), name="rollouts"),
    path("rollouts/<int:number>/", people.RolloutDetail.as_view(), name="rollout"),
    path("rollouts/<int:number>/deliveries/", people.Deliveries.as_view(), name="deliveries"),
    path("rollouts/<int:number>/pause/", steering.Pause.as_view(), name="rollout-pause"),
    path("rollouts/<int:number>/resume/", steering.Resume.as_view(), name="rollout-resume"),
    path("rollouts/<int:number>/roll-back/", steering.RollBack.as_view(), name="rollout-roll-back"),
    path("rollout-plan/", steering.Plan.as_view(), name="rollout-plan"),
    path("policy/versions/<int:number>/bundle/", bundles.SignedBundle.as_view(), name="bundle"),
    path("public-keys/", bundles.PublicKeys.as_view(), name="public-keys"),
    path("health/", people.Health.as_view(), name="health"),
    path("blocking/", people.Blocking.as_view(), name="blocking"),
]
