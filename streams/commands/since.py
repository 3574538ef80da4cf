"""The instant that ``--since`` means: so long ago, or an RFC 3339 instant."""

import re
from typing import Final

from schemas.topics import DAY_MS, HOUR_MS, MINUTE_MS
from schemas.wire.timestamps import ms_of

_AGO: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS_MS: Final = {"s": 1_000, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS}


def since_ms(text: str, now_ms: int, *, units: str = "smhd") -> int:
    """Milliseconds since the epoch; ``30m`` is so long before ``now_ms``. ``ValueError`` for what is neither."""
    ago = _AGO.fullmatch(text)
    if ago is not None and ago[2] in units:
        return now_ms - int(ago[1]) * _UNITS_MS[ago[2]]
    return ms_of(text)
