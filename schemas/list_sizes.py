"""Names what workers tell plan of the sizes of lists, so that a business hears at acceptance how long its request will take."""

import msgspec


class ListSize(msgspec.Struct, frozen=True):
    """Counts the people of one shard on a list, as of an offset of that shard's audience log: a join, the later one stands.

    JSON on the compacted topic ``audience.sizes``, key ``business/list/shard``. Plan tells businesses with it when a list will be
    through.
    """

    business: str
    list: str
    shard: int
    count: int
    upto: int
    """Offset in ``audience.changes`` of the last change counted."""
