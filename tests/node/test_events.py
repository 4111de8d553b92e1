"""Publishing never waits; a slow listener loses the oldest and can tell."""

from __future__ import annotations

import asyncio

import pytest

from node.errors import BadRequest
from node.events import EARS, KEPT, Broadcast


async def test_every_listener_hears_everything_from_when_it_came() -> None:
    voice = Broadcast()
    voice.publish("before")
    one, other = voice.listen(), voice.listen()
    voice.publish("round", number=3)
    voice.close()
    for ear in (one, other):
        heard = [event async for event in ear]
        assert [(event.number, event.kind, event.facts) for event in heard] == [(2, "round", {"number": 3})]


async def test_a_slow_listener_loses_the_oldest_and_sees_it_by_the_numbers() -> None:
    voice = Broadcast()
    ear = voice.listen()
    for _ in range(KEPT + 10):
        voice.publish("tick")
    voice.close()
    assert [event.number async for event in ear] == list(range(11, KEPT + 11))


async def test_a_listener_waits_for_news() -> None:
    voice = Broadcast()
    ear = voice.listen()
    async with asyncio.TaskGroup() as group:
        heard = group.create_task(anext(ear))
        await asyncio.sleep(0)
        assert not heard.done()
        voice.publish("round")
    assert heard.result().kind == "round"


async def test_leaving_makes_room_and_ends_the_listening() -> None:
    voice = Broadcast()
    ears = [voice.listen() for _ in range(EARS)]
    with pytest.raises(BadRequest, match="listen to this node already"):
        voice.listen()
    voice.leave(ears[0])
    voice.leave(ears[0])
    voice.publish("unheard")
    assert [event async for event in ears[0]] == []
    voice.listen()


async def test_after_the_end_there_is_nothing_to_hear() -> None:
    voice = Broadcast()
    voice.close()
    assert [event async for event in voice.listen()] == []
