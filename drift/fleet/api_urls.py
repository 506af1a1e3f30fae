"""The fleet's API under /api/v1/: sensor calls first, then those of API clients."""

from __future__ import annotations

from django.urls import path

from drift.fleet.api import blocking, bundles, estate, rollouts, sensor_calls

app_name = "fleet-api"
urlpatterns = [
    path("sensors/enrol", sensor_calls.EnrolView.as_view(), name="enrol"),
    path("sensors/me/policy", sensor_calls.DesiredPolicyView.as_view(), name="policy"),
    path("sensors/me/policy/status", sensor_calls.PolicyStatusView.as_view(), name="policy-status"),
    path("sensors/me/policy/proof", sensor_calls.NumberProofView.as_view(), name="policy-proof"),
    path("sensors/me/heartbeat", sensor_calls.HeartbeatView.as_view(), name="heartbeat"),
    path("sensors/me/stream-ticket", sensor_calls.StreamTicketView.as_view(), name="stream-ticket"),
    path("environments/", estate.EnvironmentListView.as_view(), name="environments"),
    path("environments/<int:pk>/", estate.EnvironmentView.as_view(), name="environment"),
    path("clusters/", estate.ClusterListView.as_view(), name="clusters"),
    path("sensors/", estate.SensorListView.as_view(), name="sensors"),
    path("sensors/<uuid:pk>/", estate.SensorDetailView.as_view(), name="sensor"),
    path("sensors/<uuid:pk>/revoke/", estate.RevokeSensorView.as_view(), name="sensor-revoke"),
    path("sensors/<uuid:pk>/quarantine/", estate.QuarantineView.as_view(), name="sensor-quarantine"),
    path("sensors/<uuid:pk>/release/", estate.ReleaseSensorView.as_view(), name="sensor-release"),
    path("enrolment-tokens/", estate.EnrolmentTokenListView.as_view(), name="enrolment-tokens"),
    path("enrolment-tokens/<int:pk>/revoke/", estate.RevokeEnrolmentTokenView.as_view(), name="enrolment-token-revoke"),
    path("rollouts/", rollouts.RolloutListView.as_view(), name="rollouts"),
    path("rollouts/<int:number>/", rollouts.RolloutView.as_view(), name="rollout"),
    path("rollouts/<int:number>/deliveries/", rollouts.DeliveryListView.as_view(), name="deliveries"),
    path("rollouts/<int:number>/pause/", rollouts.PauseRolloutView.as_view(), name="rollout-pause"),
    path("rollouts/<int:number>/resume/", rollouts.ResumeRolloutView.as_view(), name="rollout-resume"),
    path("rollouts/<int:number>/roll-back/", rollouts.RollBackView.as_view(), name="rollout-roll-back"),
    path("rollout-plan/", rollouts.RolloutPlanView.as_view(), name="rollout-plan"),
    path("policy/versions/<int:number>/bundle/", bundles.SignedBundleView.as_view(), name="bundle"),
    path("public-keys/", bundles.PublicKeysView.as_view(), name="public-keys"),
    path("blocking/", blocking.BlockingView.as_view(), name="blocking"),
]
