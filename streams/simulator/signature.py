"""Signs what the simulated gateway posts, by Standard Webhooks' own library: the webhook verifies it by other code."""

from collections.abc import Iterable
from datetime import UTC, datetime

from standardwebhooks import Webhook

from schemas.wire.webhook_signature import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER


def signed_headers(secrets: Iterable[str], message_id: str, now_ms: int, body: bytes) -> dict[str, str]:
    """Returns the three headers of a post of ``body``, which is UTF-8, with a signature of each secret."""
    at_s, text = now_ms // 1_000, body.decode()
    moment = datetime.fromtimestamp(at_s, UTC)
    signatures = (Webhook(secret).sign(message_id, moment, text) for secret in secrets)
    return {ID_HEADER: message_id, TIMESTAMP_HEADER: str(at_s), SIGNATURE_HEADER: " ".join(signatures)}
