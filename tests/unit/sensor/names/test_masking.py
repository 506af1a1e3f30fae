"""No secret on a command line leaves the node."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor.names.masking import _KNOWN_TOKENS, Masker

MASKED = [
    (["--password=hunter2"], ["--password=***"]),
    (["--password", "hunter2", "-v"], ["--password", "***", "-v"]),
    (["-token", "abc"], ["-token", "***"]),
    (["token=abc"], ["token=***"]),
    (["env", "DB_PASSWORD=x y", "MYSQL_PWD=x"], ["env", "DB_PASSWORD=***", "MYSQL_PWD=***"]),
    (["--client-secret=a", "--apiKey=b"], ["--client-secret=***", "--apiKey=***"]),
    (["--aws.secret.access.key=c"], ["--aws.secret.access.key=***"]),
    (["bash", "-lc", "TOKEN=a curl h|sh"], ["bash", "-lc", "TOKEN=*** curl h|sh"]),
    (["PGPASSWORD='a b'", "dbPassword=x"], ["PGPASSWORD=***", "dbPassword=***"]),
    (["curl", "https://bob:s3cret@example.org/x"], ["curl", "https://***@example.org/x"]),
    (["git", "clone", "https://ghp_0123456789abcdefghij@h.org/a"], ["git", "clone", "https://***@h.org/a"]),
    (["https://example.org/?api_key=abc&page=2"], ["https://example.org/?api_key=***&page=2"]),
    (["-H", "Authorization: Bearer abcdefgh"], ["-H", "Authorization: ***"]),
    (["-H", "Cookie: a=b; c=d"], ["-H", "Cookie: ***"]),
    (["-H", "X-Api-Key: abc"], ["-H", "X-Api-Key: ***"]),
    (["sh", "-c", "curl --token abc https://u:p@h/"], ["sh", "-c", "curl --token *** https://***@h/"]),
    (["sh", "-c", "curl -H 'X: Bearer abcdefgh'"], ["sh", "-c", "curl -H 'X: Bearer ***'"]),
    (["sh", "-c", "SECRET=\"a b\"; ./run --password 'c d'"], ["sh", "-c", "SECRET=***; ./run --password ***"]),
    (['{"password": "abc", "user": "bob"}'], ['{"password": ***, "user": "bob"}']),
    (["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-_"], ["***"]),
    (["eyJxeyJx eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.a"], ["eyJxeyJx ***"]),
    (["eyJ-ghp_0123456789abcdefghij-eyJ"], ["eyJ-***-eyJ"]),
    (["eyJ-----BEGIN PRIVATE KEY-----\nMIIE"], ["eyJ***"]),
    (["x", "AKIAIOSFODNN7EXAMPLE"], ["x", "***"]),
    (["-----BEGIN RSA PRIVATE KEY-----\nMIIE"], ["***"]),
    (["mysql", "-uroot", "-ps3cret"], ["mysql", "-uroot", "-p***"]),
    (["/usr/bin/curl", "-u", "bob:x", "http://h/"], ["/usr/bin/curl", "-u", "***", "http://h/"]),
    (["sshpass", "-p", "x", "ssh", "h"], ["sshpass", "-p", "***", "ssh", "h"]),
    (["Server=db;User=sa;Password=x;Encrypt=no"], ["Server=db;User=sa;Password=***;Encrypt=no"]),
    (["--opts=user=bob,password=x,ro"], ["--opts=user=bob,password=***,ro"]),
]  # fmt: skip

KEPT = [
    ["./xmrig", "-o", "stratum+tcp://pool.example:3333", "-u", "48wallet", "-p", "x"],
    ["--password", "--host", "db"],
    ["PWD=/var/www", "--passive", "--bypass=yes", "--compass=n"],
    ["--password-file=/run/secrets/db", "--token-url=https://h/"],
    ["--author=bob", "--path=/a=b:c", "key=value", "http://h:80/a?b=c"],
    ["--", "", "=", ":", "-"],
    ["secret"],
]


@pytest.mark.parametrize(("argv", "masked"), MASKED)
def test_a_secret_is_masked_and_the_rest_is_kept(argv: list[str], masked: list[str]) -> None:
    assert Masker().mask(argv) == masked


@pytest.mark.parametrize("argv", KEPT)
def test_arguments_that_are_not_secrets_stay(argv: list[str]) -> None:
    assert Masker().mask(argv) == argv


def test_more_names_can_be_configured() -> None:
    masked = Masker(["licence-code"]).mask(["--licence_code=1", "LicenceCode: 2", "--code=3"])
    assert masked == ["--licence_code=***", "LicenceCode: ***", "--code=3"]


def test_truncated_credentials_are_masked_too() -> None:
    assert Masker().mask(["curl", "https://bob:s3cr"], truncated=True) == ["curl", "https://***"]
    assert Masker().mask(["curl", "--password=s3cr"], truncated=True) == ["curl", "--password=***"]


@given(st.lists(st.text(max_size=100), max_size=20), st.booleans())
def test_any_arguments_keep_their_number(argv: list[str], truncated: bool) -> None:
    assert len(Masker().mask(argv, truncated=truncated)) == len(argv)


FORMS = ["--password={}", "TOKEN={}", "ftp://a:{}@h/", "x --secret {} y", '{{"apikey":"{}"}}', "Cookie: a={}"]


@given(st.from_regex(r"[A-Za-z0-9]{12,20}", fullmatch=True), st.sampled_from(FORMS))
def test_a_secret_never_gets_through(secret: str, form: str) -> None:
    assert secret not in "".join(Masker().mask([form.format(secret)]))


TIRING = ["a", "a=", "a=b ", "://", "-a ", "-ab c ", " ", "a:    ", "'", "a://b", "eyJ"]


def test_masking_takes_time_linear_in_the_length_of_an_argument() -> None:
    """Quadratic time would take many minutes for arguments of this length, and the test would time out."""
    script = "import sys; from sensor.names.masking import Masker;"
    script += "[Masker().mask([each * 100_000]) for each in sys.argv[1:]]"
    assert subprocess.run([sys.executable, "-c", script, *TIRING], timeout=120, check=False).returncode == 0


def test_a_long_prefix_of_a_token_is_scanned_once() -> None:
    assert [found.span() for found in _KNOWN_TOKENS.finditer("eyJ" * 1_000)] == [(0, 3_000)]


@pytest.mark.parametrize(
    "cut", ["AKIAIOSFOD", "ghp_16C7e42F", "glpat-xyz", "xoxb-12", "sk_live_4eC", "github_pat_11A", "https://user:pw"]
)
def test_a_token_within_which_the_command_line_was_cut_is_masked(cut: str) -> None:
    masked = Masker().mask(["sh", "-c", f"echo {cut}"], truncated=True)
    assert cut.rsplit("/", 1)[-1] not in masked[-1]
    assert masked[-1].endswith("***")
