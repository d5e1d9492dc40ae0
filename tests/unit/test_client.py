"""The lab's clients count what a server that breaks off does to them: no test of lost requests is worth more."""

from __future__ import annotations

import asyncio
import itertools

import client
import pytest
from support import load

PARTIAL = b"HTTP/1.1 200 OK\r\nContent-Length: 5242880\r\n\r\nonly the beginning"
RIGHT = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def outcomes(answers: list[bytes], request: str, keep_alive: bool) -> dict[str, int]:
    """What one client counts that asks as often as there are answers; after an empty one, the connection is closed."""
    waiting = iter(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            answer = next(waiting, RIGHT)
            writer.write(answer)
            await writer.drain()
            if answer != RIGHT or not keep_alive:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    make = {"small": client.small, "heavy": client.heavy}[request]
    asked = itertools.count()
    async with server:
        tallies = await client.run([("one", make(base), 1)], lambda: next(asked) >= len(answers), keep_alive)
    return dict(tallies["one"].outcomes)


@pytest.mark.parametrize("keep_alive", [True, False])
def test_an_empty_answer_to_a_get_is_counted_and_not_asked_for_again(keep_alive: bool) -> None:
    found = asyncio.run(outcomes([RIGHT, b"", RIGHT], "small", keep_alive))

    assert sum(found.values()) == 3
    assert found["ok"] == 2


def test_an_answer_that_is_cut_is_counted() -> None:
    assert "ok" not in asyncio.run(outcomes([PARTIAL], "heavy", True))


def test_clients_that_gave_up_too_early_fail_who_relied_on_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MOST_SECONDS", 0.0)
    with pytest.raises(AssertionError, match="gave up"), load([]):
        pass
    monkeypatch.undo()
    with load([]):
        pass
