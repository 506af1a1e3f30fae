"""Addresses of Redis: of a server, and of the service that Sentinels watch."""

from __future__ import annotations

import ssl

import pytest

from drift.redis_servers import broker_settings, check_address, place_of, sentinel_address, sync_client

PASSWORD = "p%40ss%3A%2F%2C"
CLEAR = "p@ss:/,"
ADDRESS = f"redis+sentinel://me:{PASSWORD}@a:1,b,[::1]:2/my%20service/3?sentinel_password=other"


@pytest.mark.parametrize(
    "url",
    [
        "redis://a",
        "rediss://:x@a:1/2",
        "unix:///run/v.sock?db=0",
        "redis+sentinel://a/s",
        "rediss+sentinel://a,b:1/s/0",
    ],
)
def test_a_valid_address_is_accepted(url: str) -> None:
    check_address(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a:6379",
        "redis://",
        "redis://:6379",
        "redis://a:0",
        "unix://",
        "sentinel://a/s",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel:///s",
        "redis+sentinel://a,,b/s",
        "redis+sentinel://a:0/s",
        "redis+sentinel://a:99999/s",
        "redis+sentinel://a/s/x",
        "redis+sentinel://a/s/1/2",
        "redis+sentinel://a/s/-1",
        "redis+sentinel://a/s?db=1",
        "redis+sentinel://[a/s",
    ],
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^"):
        check_address(url)


def test_an_address_with_sentinels_is_read_whole() -> None:
    found = sentinel_address(ADDRESS)
    assert found is not None
    assert found.sentinels == (("a", 1), ("b", 26379), ("::1", 2))
    assert (found.service, found.database) == ("my service", 3)
    assert found.server_options() == {"db": 3, "username": "me", "password": CLEAR}
    assert found.sentinel_options()["password"] == "other"
    assert "ssl" not in found.sentinel_options()


def test_a_place_is_named_without_user_and_password() -> None:
    assert place_of(ADDRESS) == "my service of a:1, b:26379, ::1:2"
    assert place_of("redis://me:secret@a") == "a:6379"
    assert place_of("unix:///run/v.sock?db=0") == "/run/v.sock"


def test_celery_gets_each_sentinel_with_the_servers_password_and_the_service() -> None:
    found = broker_settings(ADDRESS)
    assert found["broker_url"] == ";".join(
        f"sentinel://me:{PASSWORD}@{place}/3" for place in ("a:1", "b:26379", "[::1]:2")
    )
    assert found["broker_transport_options"]["master_name"] == "my service"
    assert "broker_use_ssl" not in found


def test_with_tls_servers_and_sentinels_are_called_by_tls_alone() -> None:
    url = ADDRESS.replace("redis+", "rediss+")
    found = sentinel_address(url)
    assert found is not None
    assert found.server_options()["ssl"] is found.sentinel_options()["ssl"] is True
    assert broker_settings(url)["broker_use_ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    assert "SSL" in sync_client(url).connection_pool.connection_class.__name__


def test_with_tls_celery_verifies_a_server_s_certificate_as_the_other_clients_do() -> None:
    assert broker_settings("rediss://:x@a/0")["broker_use_ssl"] == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def test_the_address_of_a_server_is_celerys_too_but_for_a_socket() -> None:
    assert broker_settings("redis://a/0") == {"broker_url": "redis://a/0"}
    assert broker_settings("unix:///v.sock?db=0") == {"broker_url": "redis+socket:///v.sock?db=0"}
