"""The runtimes that a node may have, in the order in which they are queried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sensor.container.cluster_api import ClusterApi, ClusterRuntime
from sensor.container.cri import REST
from sensor.container.discovery import DiscoveredRuntimes
from sensor.container.runtime_places import USUAL_PLACES, RuntimePlace, runtimes_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sensor.container.base import Runtime


def runtimes_of_node(
    rest: float = REST, node: str = "", more: Sequence[RuntimePlace] = (), api: ClusterApi | None = None
) -> list[Runtime]:
    """Return all runtimes, present or not: those of the usual places, `more`, and those that are discovered later.

    `rest`: seconds that one is left alone which did not answer in time; `node`: the node's name, which ends the names
    of its static pods. `api`: the cluster's, which then says whose each pod is.
    """
    places = (*more, *USUAL_PLACES)
    known: list[Runtime] = [runtime for place in places for runtime in runtimes_at(place, rest, node)]
    runtimes: list[Runtime] = [*known, DiscoveredRuntimes(places, rest=rest, node=node)]
    return runtimes if api is None else [ClusterRuntime(runtime, api) for runtime in runtimes]
