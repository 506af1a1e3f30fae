"""The fleet's API under /api/v1/: what sensors call, then what people's programs do."""

from __future__ import annotations

from django.urls import path

from drift.fleet.api import bundles
from drift.fleet.api import estate as people
from drift.fleet.api import rollouts as steering
from drift.fleet.api import sensor_calls as sensor

app_name = "fleet-api"
urlpatterns = [
    path("sensors/enrol", sensor.EnrolView.as_view(), name="enrol"),
    path("sensors/me/policy", sensor.DesiredPolicyView.as_view(), name="policy"),
    path("sensors/me/policy/status", sensor.PolicyStatusView.as_view(), name="policy-status"),
    path("sensors/me/heartbeat", sensor.HeartbeatView.as_view(), name="heartbeat"),
    path("sensors/me/stream-ticket", sensor.StreamTicketView.as_view(), name="stream-ticket"),
    path("environments/", people.EnvironmentListView.as_view(), name="environments"),
    path("environments/<int:pk>/", people.EnvironmentView.as_view(), name="environment"),
    path("clusters/", people.ClusterListView.as_view(), name="clusters"),
    path("sensors/", people.SensorListView.as_view(), name="sensors"),
    path("sensors/<uuid:pk>/", people.SensorDetailView.as_view(), name="sensor"),
    path("sensors/<uuid:pk>/revoke/", people.RevokeSensorView.as_view(), name="sensor-revoke"),
    path("sensors/<uuid:pk>/release/", people.ReleaseSensorView.as_view(), name="sensor-release"),
    path("enrolment-tokens/", people.EnrolmentTokenListView.as_view(), name="enrolment-tokens"),
    path("enrolment-tokens/<int:pk>/revoke/", people.RevokeEnrolmentTokenView.as_view(), name="enrolment-token-revoke"),
    path("rollouts/", people.RolloutListView.as_view(), name="rollouts"),
    path("rollouts/<int:number>/", people.RolloutView.as_view(), name="rollout"),
    path("rollouts/<int:number>/deliveries/", people.DeliveryListView.as_view(), name="deliveries"),
    path("rollouts/<int:number>/pause/", steering.PauseRolloutView.as_view(), name="rollout-pause"),
    path("rollouts/<int:number>/resume/", steering.ResumeRolloutView.as_view(), name="rollout-resume"),
    path("rollouts/<int:number>/roll-back/", steering.RollBackView.as_view(), name="rollout-roll-back"),
    path("rollout-plan/", steering.RolloutPlanView.as_view(), name="rollout-plan"),
    path("policy/versions/<int:number>/bundle/", bundles.SignedBundleView.as_view(), name="bundle"),
    path("public-keys/", bundles.PublicKeysView.as_view(), name="public-keys"),
    path("health/", people.HealthView.as_view(), name="health"),
    path("blocking/", people.BlockingView.as_view(), name="blocking"),
]
