"""Billing events as tests need them."""

from schemas.status import BilledCharge


def billed(business: str, serial: int) -> BilledCharge:
    """What one code is charged with."""
    return BilledCharge(
        business=business,
        serial=serial,
        partition=0,
        offset=serial,
        request="",
        sender=f"{business}/main",
        lane="otp",
        shard=0,
        category="authentication",
        market=49,
        count=1,
        card=1,
        unit_micro=5,
        amount_micro=5,
        currency="USD",
        first_ms=1,
        last_ms=1,
        at_ms=1,
    )
