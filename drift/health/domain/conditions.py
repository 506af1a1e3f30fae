"""The written list of conditions that health checks; docs/health.md is generated from it.

What each means and what to do about it is here alone: page, API, doctor, notices and docs show these texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Part = Literal["portal", "protection", "sensors"]
Audience = Literal["everybody", "estate", "admins"]
"""`estate`: who sees the whole estate; `admins`: Security Admins, since it is a weakness of the portal itself."""


@dataclass(frozen=True)
class Condition:
    """One thing that health checks. `fails` says when, `means` what follows, `action` what to do.

    `of_sensors`: it is counted in sensors, which page and API name. `ready_roles`: the roles of `/readyz?role=` that
    it makes unready.
    """

    code: str
    part: Part
    title: str
    fails: str
    means: str
    action: str
    audience: Audience = "everybody"
    of_sensors: bool = False
    ready_roles: tuple[str, ...] = ()


PARTS: Final[dict[Part, str]] = {"portal": "Portal", "protection": "Protection", "sensors": "Sensors"}
ROLES: Final = ("web", "gateway", "worker", "beat")
"""Of `/readyz?role=`."""
_EVERY_ROLE: Final = ("web", "worker", "beat")

PORTAL: Final = (
    Condition(
        "database",
        "portal",
        "Database",
        "PostgreSQL does not respond.",
        "Pages and API answer 503; sensors spool their events and retry.",
        "Check PostgreSQL, its disk and DATABASE_URL.",
        ready_roles=_EVERY_ROLE,
    ),
    Condition(
        "database_service",
        "portal",
        "Service of the database",
        "PostgreSQL only reads, its commits wait for a standby, or a query that reads nothing takes over a second.",
        "Saves, sign-ins and ingest fail, hang or are slow; sensors spool their events and retry.",
        "Check the standby in synchronous_standby_names, which server DATABASE_URL leads to, and what slows it down.",
    ),
    Condition(
        "redis",
        "portal",
        "Redis",
        "Redis or Valkey does not respond, or its memory is 90 % full.",
        "Versions reach sensors late, by their polls; no task runs, no notification is sent.",
        "Check Redis, its memory and REDIS_URL.",
        ready_roles=("gateway", "worker", "beat"),
    ),
    Condition(
        "worker",
        "portal",
        "Worker",
        "No worker has reported for 10 s; each reports every 3 s while it takes tasks.",
        "A saved version is not distributed, nobody is notified, and retention stops. Saves and ingest go on.",
        "Start a worker, or read its log: `driftwatch-portal worker`.",
        ready_roles=("worker",),
    ),
    Condition(
        "beat",
        "portal",
        "Beat",
        "Beat has not reported for 10 s; it reports every 3 s.",
        "Nothing that a lost message left undone is repeated, and nothing scheduled runs.",
        "Start beat, exactly one, or read its log: `driftwatch-portal beat`.",
        ready_roles=("beat",),
    ),
    Condition(
        "gateway",
        "portal",
        "Push gateway",
        "No push gateway has reported for 10 s; each reports every 3 s.",
        "Sensors learn of a new version only when they poll, every five minutes.",
        "Start a gateway, or read its log: `driftwatch-portal gateway`.",
        ready_roles=("gateway",),
    ),
    Condition(
        "queue",
        "portal",
        "Task queue",
        "The oldest task has waited for more than 60 s.",
        "Workers are too few or stuck: versions and notifications are late.",
        "Add workers, or read their log for a task that hangs.",
    ),
    Condition(
        "tasks",
        "portal",
        "Scheduled tasks",
        "A scheduled task has not ended successfully for three of its periods and a minute.",
        "What it does is not done: sweeping, retention, sealing, notifications.",
        "Read the worker's log for the task's error.",
    ),
    Condition(
        "partitions",
        "portal",
        "Partitions of events",
        "The events of today, tomorrow or the day after have no partition; seven days ahead are usual.",
        "Ingest creates a missing one itself, at a cost; if it cannot, events are refused and sensors spool.",
        "Read the worker's log for alerts.keep_partitions.",
    ),
    Condition(
        "disk",
        "portal",
        "Disk",
        "The database takes 80 % of DATABASE_DISK_GIB, or a file system of DISK_PATHS has less than 10 % free.",
        "When it is full no event is stored: sensors spool, and lose events once their spools are full.",
        "Enlarge the disk, or lower EVENT_RETENTION_DAYS. Set DATABASE_DISK_GIB or DISK_PATHS to have it checked.",
    ),
    Condition(
        "portal_clock",
        "portal",
        "Clocks of the portal",
        "The clocks of web process, PostgreSQL and Redis differ by more than 5 s.",
        "Tickets, bundles and times in alerts are wrong by as much.",
        "Synchronise the clocks of all machines (NTP).",
    ),
    Condition(
        "audit_seal",
        "portal",
        "Sealing of the audit log",
        "An audit entry has not been sealed for ten minutes.",
        "Until it is sealed, somebody with access to the database could change it unseen.",
        "Read the worker's log for accounts.seal_audit_log.",
        audience="admins",
    ),
    Condition(
        "database_role",
        "portal",
        "Database role",
        "The portal's database role may do more than the portal uses.",
        "Injected SQL could change what must only grow, such as the audit log.",
        "Use two roles: docs/operators.md#two-database-roles.",
        audience="admins",
    ),
    Condition(
        "proxies",
        "portal",
        "Trusted proxies",
        "Requests of the last day do not match TRUSTED_PROXIES.",
        "Clients share the proxy's address, and so their limits on failed sign-ins.",
        "Set TRUSTED_PROXIES to the number of your own proxies.",
        audience="estate",
    ),
    Condition(
        "second_approver",
        "portal",
        "Second approver",
        "SECOND_APPROVER_ENVIRONMENTS names an environment that does not exist.",
        "No change of its rules needs a second person.",
        "Correct SECOND_APPROVER_ENVIRONMENTS.",
        audience="admins",
    ),
    Condition(
        "siem",
        "portal",
        "Forwarding to a SIEM",
        "A SIEM destination fails, is five minutes behind, or has lost its scope.",
        "The SIEM lacks alerts; they are sent once it is reached again.",
        "Open Environment settings › SIEM: it shows the error of each destination.",
        audience="admins",
    ),
    Condition(
        "notifications",
        "portal",
        "Notifications",
        "A notification of the last day could not be delivered.",
        "Somebody who subscribes to alerts or health was not notified.",
        "Open the notification settings: they show the error and can retry.",
        audience="admins",
    ),
)

PROTECTION: Final = (
    Condition(
        "no_sensors",
        "protection",
        "Sensors enrolled",
        "No sensor of an enabled environment is enrolled, or all sensors of a cluster were retired as silent.",
        "Nothing is monitored, or nothing in that cluster.",
        "Check the cluster's nodes, or enrol them on the page Sensor onboarding; retire an environment that is gone.",
    ),
    Condition(
        "environment_off",
        "protection",
        "Environments switched on",
        "The sensors of an environment are switched off.",
        "Its nodes are not protected: the portal refuses their events, and nothing is blocked there.",
        "Switch the environment on in Environment settings, or retire it.",
    ),
    Condition(
        "blocking_stopped",
        "protection",
        "Blocking in force",
        "All blocking is stopped, or was resumed over ten minutes ago and a sensor that is online does not know it.",
        "Blocking rules only raise alerts, on every sensor or on these.",
        "Resume blocking in Environment settings once its reason is gone; a link lists who has not acknowledged it.",
    ),
    Condition(
        "rollout_stuck",
        "protection",
        "Distribution of versions",
        "A saved version has not been given to the next sensors for 60 s.",
        "Sensors decide by an older version than the one that was saved.",
        "Check worker and beat above; read the worker's log for fleet.spread_chunk.",
    ),
    Condition(
        "rollout_paused",
        "protection",
        "Rollouts",
        "The rollout of the newest version is paused, by a person or by its limits.",
        "The sensors that it has not reached decide by an older version.",
        "Open the rollout: it has the reason. Resume it, or roll back.",
    ),
    Condition(
        "detection_narrowed",
        "protection",
        "Kinds of drift detected",
        "The newest version of the policy detects no kind of drift, or ignores all drift.",
        "Sensors report nothing, or nothing that they report raises an alert.",
        "Choose kinds under Detection on the policy page, or let a rule or the default rule alert.",
    ),
    Condition(
        "unmonitored_kinds",
        "protection",
        "Kinds of drift monitored",
        "A sensor does not monitor a kind that its policy detects (dropped libraries).",
        "That kind of drift raises no alert on these nodes.",
        "Start their sensors with `--libraries`, on a kernel that supports it.",
        of_sensors=True,
    ),
    Condition(
        "unenforceable",
        "protection",
        "Blocking rules enforced",
        "A sensor's policy has rules that block, and the sensor cannot block, or cannot hold an exec to check it.",
        "What these rules should stop runs there, and raises an alert.",
        "The sensor's page has the reason; see docs/blocking.md.",
        of_sensors=True,
    ),
    Condition(
        "paused",
        "protection",
        "Blocking paused under a rule",
        "A sensor's kill limit has paused a rule that stopped many files in several workloads at once.",
        "The rule blocks nothing on that node for now.",
        "Check the rule; the sensor's page names it.",
        of_sensors=True,
    ),
)

SENSORS: Final = (
    Condition(
        "quarantined",
        "sensors",
        "Sensors trusted",
        "A sensor is in quarantine, since its credential may be stolen.",
        "Alerts that it raises are set aside: nobody is notified of drift on its node.",
        "Enrol its node anew and revoke it, or lift the quarantine.",
        of_sensors=True,
    ),
    Condition(
        "shared",
        "sensors",
        "Shared credentials",
        "Several processes use one sensor's credential.",
        "A state directory was copied or stolen: events of that node may be forged.",
        "Revoke, release, and enrol again.",
        of_sensors=True,
    ),
    Condition(
        "contested",
        "sensors",
        "Node names in conflict",
        "A sensor that another machine replaced reports again: two machines use one node name.",
        "Only one of the two is monitored.",
        "Give the nodes different names, or enrol the right one.",
        of_sensors=True,
    ),
    Condition(
        "keys",
        "sensors",
        "Signing keys",
        "A sensor accepts none of the current signing keys: it was away while keys changed.",
        "It rejects every new version.",
        "Enrol its node again.",
        of_sensors=True,
    ),
    Condition(
        "dark",
        "sensors",
        "Sensors online",
        "A sensor has sent no heartbeat for three minutes.",
        "Whether its node is monitored is not known.",
        "Check the node, its network and the sensor's log.",
        of_sensors=True,
    ),
    Condition(
        "unproven",
        "sensors",
        "Proof of detection",
        "No canary arrived for two hours and ten minutes, although one is due every hour.",
        "Detection on that node may have stopped working.",
        "The sensor's log says where the canary was lost.",
        of_sensors=True,
    ),
    Condition(
        "expired",
        "sensors",
        "Validity of policy bundles",
        "A sensor's bundle is older than BUNDLE_VALID_DAYS, although newer ones exist.",
        "Somebody holds newer ones back, or the sensor's clock is wrong.",
        "Check the network between sensor and portal, and the node's clock.",
        of_sensors=True,
    ),
    Condition(
        "lag",
        "sensors",
        "Versions applied",
        "A sensor has not applied a version that was rolled out to it over 30 minutes ago.",
        "It decides by an older version.",
        "The sensor's page has its error; check its log.",
        of_sensors=True,
    ),
    Condition(
        "losses",
        "sensors",
        "Losses",
        "A sensor lost executions or events within the last hour.",
        "Drift among them raised no alert.",
        "The sensor's page has the causes: docs/sensor.md#counters.",
        of_sensors=True,
    ),
    Condition(
        "sensor_clock",
        "sensors",
        "Clocks of nodes",
        "A node's clock differs from the portal's by more than 60 s.",
        "Times in alerts are wrong, and bundles expire early or late.",
        "Synchronise the node's clock (NTP).",
        of_sensors=True,
    ),
    Condition(
        "recreated",
        "sensors",
        "Recreated nodes",
        "Another machine took over the node of a silent sensor within a day.",
        "If it was not you who replaced the node, somebody enrolled in its place.",
        "If that is unexpected, revoke it.",
        of_sensors=True,
    ),
    Condition(
        "gaps",
        "sensors",
        "Containers monitored",
        "A sensor monitors containers only in part.",
        "Not all of their files can be judged.",
        "The sensor's page names them and the reasons.",
        of_sensors=True,
    ),
    Condition(
        "fallback",
        "sensors",
        "Capture by eBPF",
        "A node supports eBPF, but its sensor fell back to fanotify.",
        "It sees less and blocks nothing.",
        "The sensor's log has the reason.",
        of_sensors=True,
    ),
    Condition(
        "outdated",
        "sensors",
        "Versions of sensors",
        "A sensor's release is older than the portal's.",
        "It lacks corrections and new features; it works with the next release, not with later ones.",
        "Upgrade the sensor.",
        of_sensors=True,
    ),
)

CONDITIONS: Final = (*PORTAL, *PROTECTION, *SENSORS)
"""In the order in which pages show them: within a part the worst first."""
BY_CODE: Final = {condition.code: condition for condition in CONDITIONS}
