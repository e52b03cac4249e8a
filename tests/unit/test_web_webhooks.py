"""How are outgoing webhooks signed and retried, and which addresses may they have? Without a server."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from voiceagents.webhooks.endpoints import EndpointProblem, checked_url
from voiceagents.webhooks.retries import PAUSES, Answer, after
from voiceagents.webhooks.signing import headers, new_secret, signature

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_the_signature_is_that_of_the_specification_s_example() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, libraries' common test vector
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == (
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_a_receiver_can_check_a_message_with_what_it_gets() -> None:
    secret, body = new_secret(), b'{"type":"call.ended"}'
    sent = headers(secret, "evt_1", 1_700_000_000, body)
    signed = f"{sent['webhook-id']}.{sent['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert sent["webhook-signature"] == f"v1,{expected}"


def test_secrets_are_long_and_never_the_same() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(base64.b64decode(new_secret().removeprefix("whsec_"))) == 32


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_takes_the_message(status: int) -> None:
    assert Answer(status).taken


@pytest.mark.parametrize("status", [None, 199, 301, 302, 400, 404, 410, 429, 500, 503])
def test_nothing_else_does(status: int | None) -> None:
    assert not Answer(status).taken


@pytest.mark.parametrize("attempts", range(1, len(PAUSES) + 1))
def test_pauses_grow_and_vary_a_little(attempts: int) -> None:
    following = after(Answer(500), attempts, NOW, Random(attempts))
    assert following.at is not None
    pause = following.at - NOW
    assert PAUSES[attempts - 1] <= pause <= PAUSES[attempts - 1] * 1.2


def test_after_the_last_attempt_it_has_failed() -> None:
    assert after(Answer(None, "no answer"), len(PAUSES) + 1, NOW, Random(0)).at is None
    assert sum(PAUSES, timedelta()) > timedelta(days=1)


def test_a_receiver_that_is_gone_gets_no_more() -> None:
    following = after(Answer(410), 1, NOW, Random(0))
    assert following.switch_off
    assert following.at is None


@pytest.mark.parametrize(
    "url", ["https://example.com/hook", "http://127.0.0.1:9000/x?y=1", " https://example.com ", "http://[::1]:80/"]
)
def test_an_address_that_a_message_can_be_posted_to_is_taken(url: str) -> None:
    assert checked_url(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        "", "example.com", "ftp://example.com", "file:///etc/passwd", "https://", "http://a b/", "http://[::1",
        "http://x:99999/", "https://user:secret@example.com/", "https://example.com/" + "x" * 2000,
    ],
)  # fmt: skip
def test_any_other_is_refused_with_its_field(url: str) -> None:
    with pytest.raises(EndpointProblem) as refused:
        checked_url(url)
    assert refused.value.field == "url"
