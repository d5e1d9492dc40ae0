"""On a host, by the release's own Python, which has psycopg: what a client of the database may rely on at an address.

    python - <URL>...          the answer is JSON: for each of WAYS, for each URL, whether it worked, or what was said

Between two statements of one client another one takes the connection to the database that the first had, where a
pooler gives it away. A pooler has to allow two connections at the least.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import psycopg

# psycopg's own; it is not there where types are checked.
Connection = Any


def one(connection: Connection, statement: str, **how: bool) -> object:
    row = connection.execute(statement, **how).fetchone()
    return row[0] if row else None


def setting(mine: Connection, others: Callable[[], Connection]) -> bool:
    mine.execute("SET statement_timeout = '7s'")
    others()
    return one(mine, "SHOW statement_timeout") == "7s"


def setting_of_a_transaction(mine: Connection, others: Callable[[], Connection]) -> bool:
    with mine.transaction():
        mine.execute("SET LOCAL statement_timeout = '7s'")
        others()
        return one(mine, "SHOW statement_timeout") == "7s"


def lock(mine: Connection, others: Callable[[], Connection]) -> bool:
    mine.execute("SELECT pg_advisory_lock(4711)")
    others()
    return one(mine, "SELECT pg_advisory_unlock(4711)") is True


def lock_of_a_transaction(mine: Connection, others: Callable[[], Connection]) -> bool:
    with mine.transaction():
        mine.execute("SELECT pg_advisory_xact_lock(4712)")
        return one(others(), "SELECT pg_try_advisory_xact_lock(4712)") is False


def temporary_table(mine: Connection, others: Callable[[], Connection]) -> bool:
    mine.execute("CREATE TEMPORARY TABLE kept (a int)")
    others()
    return one(mine, "SELECT count(*) FROM kept") == 0


def cursor(mine: Connection, others: Callable[[], Connection]) -> bool:
    """As Django opens for .iterator() outside of a transaction."""
    mine.execute("DECLARE many CURSOR WITH HOLD FOR SELECT generate_series(1, 10)")
    others()
    return one(mine, "FETCH 1 FROM many") == 1


def cursor_in_a_transaction(mine: Connection, others: Callable[[], Connection]) -> bool:
    with mine.transaction():
        mine.execute("DECLARE few CURSOR FOR SELECT generate_series(1, 10)")
        others()
        return one(mine, "FETCH 1 FROM few") == 1


def notification(mine: Connection, others: Callable[[], Connection]) -> bool:
    mine.execute("LISTEN news")
    other = others()
    other.execute("NOTIFY news")
    other.commit()
    return len(list(mine.notifies(timeout=2, stop_after=1))) == 1


def prepared_statement(mine: Connection, others: Callable[[], Connection]) -> bool:
    first = one(mine, "SELECT 4711", prepare=True)
    others()
    return first == one(mine, "SELECT 4711", prepare=True) == 4711


WAYS: dict[str, Callable[[Connection, Callable[[], Connection]], bool]] = {
    "a setting of the session (SET)": setting,
    "a lock of the session (pg_advisory_lock)": lock,
    "a temporary table after its transaction": temporary_table,
    "a cursor outside of a transaction (.iterator())": cursor,
    "LISTEN": notification,
    "a prepared statement": prepared_statement,
    "SET LOCAL in a transaction": setting_of_a_transaction,
    "pg_advisory_xact_lock": lock_of_a_transaction,
    "a cursor in a transaction": cursor_in_a_transaction,
}


def tried(way: Callable[[Connection, Callable[[], Connection]], bool], url: str) -> str:
    """Empty where it works; else what was said."""
    with psycopg.connect(url, autocommit=True) as mine, psycopg.connect(url) as other:

        def others() -> Connection:
            """In a transaction, which holds its connection to the database."""
            other.execute("SELECT 1")
            return other

        try:
            return "" if way(mine, others) else "another answer"
        except psycopg.Error as error:
            return str(error).splitlines()[0]


def main() -> None:
    print(json.dumps({name: [tried(way, url) for url in sys.argv[1:]] for name, way in WAYS.items()}))


if __name__ == "__main__":
    main()
