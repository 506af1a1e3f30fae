"""The fleet's pages."""

from __future__ import annotations

from django.urls import path

from drift.fleet.views import (
    blocking,
    bundles,
    environments,
    onboarding,
    rollouts,
    sensors,
    settings,
    signing_keys,
    versions,
)

app_name = "fleet"
urlpatterns = [
    path("settings/environments/", settings.settings, name="environment-settings"),
    path("settings/environments/add/", environments.add, name="environment-add"),
    path("settings/environments/<int:pk>/change/", environments.change, name="environment-change"),
    path("settings/environments/<int:pk>/switch/", environments.switch, name="environment-switch"),
    path("settings/environments/<int:pk>/retire/", environments.retire, name="environment-retire"),
    path("settings/environments/<int:pk>/restore/", environments.restore, name="environment-restore"),
    path("settings/versions/", versions.versions, name="versions"),
    path("settings/blocking/", blocking.switch, name="blocking"),
    path("settings/blocking/note/", blocking.note, name="protection-note"),
    path("settings/blocking/sensors/", blocking.sensors, name="blocking-sensors"),
    path("settings/blocking/unable/", blocking.unable, name="unable-to-block"),
    path("settings/keys/", signing_keys.keys, name="keys"),
    path("settings/keys/add/", signing_keys.add, name="key-add"),
    path("settings/keys/<slug:key_id>/<str:do>/", signing_keys.change, name="key-change"),
    path("settings/policy/versions/<int:number>/bundle.json", bundles.bundle, name="bundle"),
    path("settings/onboarding/", onboarding.onboarding, name="onboarding"),
    path("settings/onboarding/<int:pk>/", onboarding.nodes, name="token-nodes"),
    path("sensor-files/<str:signed>/<str:name>", onboarding.file, name="sensor-file"),
    path("settings/onboarding/<int:pk>/revoke/", onboarding.revoke, name="token-revoke"),
    path("settings/scope-tree/", environments.scope_tree, name="scope-tree"),
    path("settings/delivery-line/", rollouts.delivery_line, name="delivery-line"),
    path("clusters/<int:pk>/", sensors.cluster, name="cluster"),
    path("sensors/<uuid:pk>/", sensors.sensor, name="sensor"),
    path("sensors/<uuid:pk>/quarantine/", sensors.quarantine, name="sensor-quarantine"),
    path("sensors/<uuid:pk>/<str:how>/", sensors.end, name="sensor-end"),
    path("rollouts/", rollouts.listed, name="rollouts"),
    path("rollouts/plan/", rollouts.plan, name="rollout-plan"),
    path("rollouts/<int:number>/roll-back/", rollouts.roll_back, name="rollout-roll-back"),
    path("rollouts/<int:number>/<str:do>/", rollouts.control, name="rollout-control"),
    path("rollouts/<int:number>/", rollouts.rollout, name="rollout"),
]
