"""`manage.py health_table [--check]`: generate docs/health.md from drift/health/domain/conditions.py."""

from __future__ import annotations

from drift.health.domain.conditions import CONDITIONS, PARTS, Condition
from portal.management.generated import GeneratedPage

HEAD = """# Health

*Environment settings › Health*, `GET /api/v1/health/` and `driftwatch-portal doctor` show the same list of
conditions: what each means, since when it holds, and what to do. It is generated from
`drift/health/domain/conditions.py` by `manage.py health_table`.

**All is well** stands there only where each condition was checked and none holds. What could not be checked is *not
checked*, with the reason, and never well. Users with a scope see the conditions of their part of the estate, and
those of the portal as a whole.
"""
TAIL = """
## How it is checked

- **Processes**: worker, beat and gateway each write a report into Redis every 3 s (`driftwatch:processes`), a worker
  and beat only while their loop turns. After 10 s without one the process is silent. With all of a kind silent the
  pages where versions are saved show a banner within 15 s of a Save; it is part of the page, which waits for Redis
  for 0.1 s at most, and is looked up again every 3 s. Times are those of Redis, so the machines'
  clocks do not matter. Whoever can write in Redis can forge a report, and so hide that a process is dead; *scheduled
  tasks* and *sealing of the audit log* show it all the same, since their work is missing in PostgreSQL or not
  recorded.
- **Tasks**: a worker records in Redis when each task last ended successfully. Where none did since Redis started, they
  are not checked.
- **Sensors**: from their heartbeats, one a minute. One query counts all conditions, however large the fleet. A
  sensor that was last seen in the future is not online: the portal's clock was set back since, and the next
  heartbeat counts, whatever the last one's time.
- **Lost clusters**: a sensor that is silent for a day is retired, and no longer *online* or not. A cluster that lost
  all of its sensors so is named under *Sensors enrolled*: for a week where its environment has other sensors, since a
  cluster that was deleted stays in the portal, else until the environment is retired or a sensor reports. One whose
  last sensor was released or revoked was taken away on purpose. Each that is lost is notified, by its name.
- **Open pages**: where polls of a page are not answered for 15 s, or only refused or with an error, the page says
  since when it was not updated, and shows nothing as well.
- **Since**: when it was switched or last seen, where that is stored; else the first of the checks that a worker makes
  every minute. Subscribers of *sensor health* are notified at the same time ([notifications](notifications.md)).
- **Disk**: a database server's disk cannot be seen from the portal: `DATABASE_DISK_GIB` says how large it is.
  `DISK_PATHS` names directories of the web process's machine. Without either it is not checked.

## readyz

| URL | 503 when | for |
|---|---|---|
| `/healthz` | the process does not respond | liveness probes: a restart helps |
| `/readyz?role=web` | PostgreSQL does not respond | readiness probes of web, load balancers |
| `/readyz?role=worker` (`beat`, `gateway`) | no process of that kind reports, or what it needs is away | monitors |
| `/readyz` | any part of the portal is dead, or due to be: each has its own line | monitors |

Web does not become unready for a dead worker: it still serves pages and ingest, and taking it away would turn one
fault into an outage. Anybody may call these: they name parts and seconds, no host, path or error.

## What shows a fault, and when

Each was made to happen, by the test named above it, on one machine with two cores that were busy with other
work (30 November 2026). A process that hangs was stopped with SIGSTOP, a cut network lets nothing through and
resets nothing, as a dead switch does. *Health* and `/readyz` look each time that they are asked; the page
asks every 5 s. Every other condition is made to hold by a unit test.

| fault | what shows it | within |
|---|---|---:|
| **processes** (`tests/system/test_health_faults.py`) | | |
| worker hangs | Health *Worker*, `/readyz`, alert after 2 min | 9 s |
| beat hangs | Health *Beat*, `/readyz`, alert after 2 min | 9 s |
| gateway hangs | Health *Push gateway*, `/readyz`, alert after 2 min | 9 s |
| gateway hangs, `doctor` | status 1, with what to do | at once |
| Redis hangs | Health *Redis*, `/readyz`; what needs it is not checked | 9 s |
| a Save while worker and beat hang | accepted; a banner on the policy page | 7 s |
| PostgreSQL hangs | `/readyz?role=web` answers 503, *hangs*; pages wait for it | 5 s |
| all blocking is stopped | Health *Blocking in force*, with who and when in the audit log | 1 s |
| an environment is switched off | Health *Environments switched on*, with who and when in the audit log | 1 s |
| a node's clock is 90 s ahead | Health *Clocks of nodes*, at its next heartbeat | 10 s |
| **services** (`tests/system/test_service_faults.py`) | | |
| the portal's disk is full | Health *Disk*, `/readyz` | 1 s |
| the database's disk is full | Health *Disk*, `/readyz`; events get 503 and stay on the nodes | 2 s |
| web's clock steps by 30 s, either way | Health *Clocks of the portal*, with seconds and direction | 1 s |
| PostgreSQL's clock steps by 30 s, either way | Health *Clocks of the portal*, with seconds and direction | 1 s |
| each query takes 1.2 s longer | Health *Database*, `/readyz`: *hangs*; web stays in service | 5 s |
| commits wait for a standby that is gone | Health *Service of the database*; none is acknowledged | 6 s |
| PostgreSQL only reads | Health *Service of the database*; writes get 503 | 1 s |
| tomorrow's partition is missing | Health *Partitions of events* | 3 s |
| Redis's memory is nearly full | Health *Redis*, with the percentage | 1 s |
| **networks** (`tests/system/test_partitions_of_the_network.py`) | | |
| worker is cut off | Health *Worker*, `/readyz`; reports again 5 s after it is reached | 10 s |
| gateway is cut off | Health *Push gateway*, `/readyz` | 10 s |
| web is cut off from the database | `/readyz?role=web` answers 503; 12 requests got theirs after 7 s | 4 s |
| web is cut off from Redis | Health *Redis*, `/readyz`; requests take 2 s, a saved version goes out in 11 s | 5 s |
| **slowly shown** (`tests/long/test_slow_faults.py`, `make long`) | | |
| worker hangs, tasks wait | Health *Task queue* | 65 s |
| worker hangs | Health *Scheduled tasks* | 76 s |
| a sensor hangs | Health *Sensors online* | 180 s |

## doctor

`driftwatch-portal doctor` (`manage.py doctor`) prints every condition on one screen, and what to do about those that
hold; `--quiet` only what is not well, `--json` for programs. Status 0: all is well; 1: a condition holds; 2: none
holds, and not all were checked.
"""


class Command(GeneratedPage):
    help = "Write docs/health.md, or with --check fail if it is out of date."
    page = "health.md"

    def text(self) -> str:
        parts = [self._part(part, title) for part, title in PARTS.items()]
        return HEAD + "".join(parts) + TAIL

    def _part(self, part: str, title: str) -> str:
        rows = "".join(_row(each) for each in CONDITIONS if each.part == part)
        return f"\n## {title}\n\n| condition | holds when | means | do |\n|---|---|---|---|\n{rows}"


def _row(condition: Condition) -> str:
    seen = {"everybody": "", "estate": " (whole estate)", "admins": " (Admins)"}[condition.audience]
    cells = (f"{condition.title}{seen} `{condition.code}`", condition.fails, condition.means, condition.action)
    return f"| {' | '.join(cells)} |\n"
