"""The fleet's tables."""

from __future__ import annotations

from drift.fleet.models.bundles import Bundle, FleetState, SigningKey
from drift.fleet.models.estate import Cluster, Distribution, EnrolmentToken, Environment, Provider
from drift.fleet.models.rollouts import Delivery, DeliveryState, Rollout, RolloutPlan
from drift.fleet.models.sensors import Proof, Sensor, SensorLoss, SensorState, SensorStatus

__all__ = [
    "Bundle",
    "Cluster",
    "Delivery",
    "DeliveryState",
    "Distribution",
    "EnrolmentToken",
    "Environment",
    "FleetState",
    "Proof",
    "Provider",
    "Rollout",
    "RolloutPlan",
    "Sensor",
    "SensorLoss",
    "SensorState",
    "SensorStatus",
    "SigningKey",
]
