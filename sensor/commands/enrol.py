"""`driftwatch-sensor enrol`: register this node with the portal and keep the identity that it returns."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sensor.commands.exit_status import CommandError, ExitStatus
from sensor.commands.open_state import identity, locked
from sensor.delivery.client import PortalClient, PortalError, PortalUnavailable
from sensor.delivery.portal_address import InsecureAddress, check_address
from sensor.operations.machine import boot_digest, machine_digest
from sensor.operations.state_directory import SensorIdentity
from sensor.version import VERSION
from sensor.wire import ClusterInfo, EnrolRequest

if TYPE_CHECKING:
    import argparse


def enrol(arguments: argparse.Namespace) -> int:
    """Enrol this node and save its identity. Safe to repeat: the node keeps its sensor."""
    with locked(arguments.state) as state:
        previous = identity(state)
        if arguments.unless_enrolled and previous is not None and not state.revoked:
            sys.stdout.write(f"{previous.node} is already enrolled in {previous.cluster_name}\n")
            return ExitStatus.OK
        request = EnrolRequest(
            token=_token(arguments),
            cluster=ClusterInfo(arguments.cluster, arguments.distribution, arguments.kubernetes_version),
            node=arguments.node,
            sensor_version=VERSION,
            capabilities=_capabilities(arguments.capability),
            # Proves that this is the node's own sensor: without it the portal answers `node_in_use`.
            previous_credential=previous.credential if previous else None,
            # Without it, a node that was made anew takes over from its silent sensor by these.
            machine_digest=machine_digest(),
            boot_digest=boot_digest(),
        )
        try:
            answer = PortalClient(arguments.portal, insecure_http=arguments.insecure_http).enrol(request)
        except InsecureAddress as error:
            raise CommandError(ExitStatus.USAGE, str(error)) from None
        except PortalError as error:
            unreachable = isinstance(error, PortalUnavailable)
            status = ExitStatus.UNREACHABLE if unreachable else ExitStatus.NOT_ENROLLED
            raise CommandError(status, f"not enrolled: {error}") from None
        state.save_identity(
            SensorIdentity(
                sensor_id=answer.sensor_id,
                credential=answer.credential,
                provider=answer.provider,
                account=answer.account,
                cluster_name=answer.cluster_name,
                keys=answer.keys,
                api_url=_api_url(answer.api_url, arguments),
                node=request.node,
                cluster=request.cluster,
            )
        )
    sys.stdout.write(f"Enrolled {request.node} in {answer.cluster_name} as sensor {answer.sensor_id}\n")
    return ExitStatus.OK


def _api_url(answered: str, arguments: argparse.Namespace) -> str:
    """Return the address that the portal names; the one on the command line where that would be in the clear."""
    try:
        check_address(answered, insecure_http=arguments.insecure_http)
    except InsecureAddress as error:
        sys.stderr.write(f"using {arguments.portal}: {error}\n")
        return str(arguments.portal)
    return answered


def _token(arguments: argparse.Namespace) -> str:
    """Return the enrolment token from the file, the option or the environment."""
    try:
        token: str | None = arguments.token_file.read_text().strip() if arguments.token_file else arguments.token
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(ExitStatus.USAGE, f"cannot read the token file: {error}") from None
    if not token:
        raise CommandError(
            ExitStatus.USAGE, "an enrolment token is required: --token-file FILE or DRIFTWATCH_ENROLMENT_TOKEN"
        )
    return token


def _capabilities(named: list[str] | None) -> list[str]:
    """Return the capabilities named on the command line, else those that work here when tried."""
    if named is not None:
        return named
    from sensor.capture.backends import found_capabilities

    return found_capabilities()
