"""The drift policy: its document, and the decision for an event (docs/policy-semantics.md).

Pure: it imports nothing but the standard library and `sensor.names`. The same code decides on the sensor and explains
in the portal.
"""

from sensor.policy.block_prediction import BlockPrediction
from sensor.policy.canonical import canonical_json
from sensor.policy.decisions import Decision
from sensor.policy.descriptions import cloud_scope_summary, describe_action, describe_rule
from sensor.policy.document import default_document, digest, normalise
from sensor.policy.document_errors import DocumentError, PolicyInvalid
from sensor.policy.document_terms import ACTIONS, DEFAULT_RULE, LIMITS, PROVIDERS, UNLISTED
from sensor.policy.drift_kinds import DEFAULT_DETECT, KINDS, NAMED_TO_BLOCK
from sensor.policy.engine import Policy, compile_policy
from sensor.policy.flat_event import EventInvalid, check_event
from sensor.policy.policy_pair import PairResidual, PolicyPair
from sensor.policy.properties import OPERATORS, PROCESS_PROPERTIES, RESOURCE_PROPERTIES
from sensor.policy.shadowed_rules import shadowed
from sensor.policy.validation import check, check_rule
from sensor.policy.value_ranges import ValueRange

__all__ = [
    "ACTIONS",
    "DEFAULT_DETECT",
    "DEFAULT_RULE",
    "KINDS",
    "LIMITS",
    "NAMED_TO_BLOCK",
    "OPERATORS",
    "PROCESS_PROPERTIES",
    "PROVIDERS",
    "RESOURCE_PROPERTIES",
    "UNLISTED",
    "BlockPrediction",
    "Decision",
    "DocumentError",
    "EventInvalid",
    "PairResidual",
    "Policy",
    "PolicyInvalid",
    "PolicyPair",
    "ValueRange",
    "canonical_json",
    "check",
    "check_event",
    "check_rule",
    "cloud_scope_summary",
    "compile_policy",
    "default_document",
    "describe_action",
    "describe_rule",
    "digest",
    "normalise",
    "shadowed",
]
