"""Column types that both SQL dialects keep exactly. Portable beside them: Text, Integer, Boolean, Double, LargeBinary.

For an upsert use `sqlalchemy.dialects.postgresql.insert(...).on_conflict_do_update(...)`: SQLite understands it too.
"""

from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from tieline.base.errors import Refused
from tieline.base.time import from_micros, instant, micros

T = TypeVar("T")

Counter = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A 64-bit integer; as the only primary key of a table it counts up by itself."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime, read back in UTC, to the microsecond. Raises `Refused` for a naive one.

    SQLite has no such type: there it is microseconds since 1970, which compare and sort as instants do.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sa.BigInteger() if dialect.name == "sqlite" else sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        at = value if value.tzinfo is UTC else instant(value)  # elsewhere two instants of a repeated hour are equal
        return _micros(at) if dialect.name == "sqlite" else at

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return _from_micros(value) if dialect.name == "sqlite" else instant(value)


_micros = lru_cache(maxsize=1024)(micros)  # thousands of rows are written at one instant
_from_micros = lru_cache(maxsize=1024)(from_micros)


class Money(TypeDecorator[Decimal]):
    """A finite Decimal with every digit it was given, as text: order and add it in Python, not in SQL."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        if value is None:
            return None
        if not isinstance(value, Decimal) or not value.is_finite():
            raise Refused(f"{value!r} is not an amount of money: give a finite Decimal, never a float")
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)


class Json(TypeDecorator[Any]):
    """A value of a msgspec type (a Struct, `list[str]`…) as JSON text: `Column("loads", Json(list[Load]))`."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, of: Any) -> None:
        super().__init__()
        self.of = of

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        return None if value is None else msgspec.json.decode(value, type=self.of)


def structs(kind: type[T], found: sa.Result[Any]) -> list[T]:
    """The rows of a result as structs of a kind, whose fields are columns of it."""
    names = [str(column) for column in found.keys()]  # noqa: SIM118  iterated, a result gives its rows
    return [msgspec.convert(dict(zip(names, row, strict=True)), kind) for row in found]
