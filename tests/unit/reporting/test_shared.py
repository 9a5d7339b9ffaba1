"""Many who ask the same at once share readings, and nobody gets an answer older than the question."""

import asyncio
from itertools import count

import pytest

from reporting.shared import SharedReadings


class Source:
    """Numbers its readings; each ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ends: list[asyncio.Future[None]] = []
        self._numbers = count(1)

    async def read(self) -> int:
        self.begun += 1
        number, end = next(self._numbers), asyncio.get_running_loop().create_future()
        self.ends.append(end)
        await end
        return number


async def turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_who_asks_meanwhile_shares_the_next_reading() -> None:
    source, readings = Source(), SharedReadings[int]()
    first = asyncio.create_task(readings.get("q", source.read))
    await turns()
    later = [asyncio.create_task(readings.get("q", source.read)) for _ in range(50)]
    await turns()
    assert source.begun == 1
    source.ends[0].set_result(None)
    await turns()
    assert source.begun == 2
    source.ends[1].set_result(None)
    assert await first == 1
    assert {await task for task in later} == {2}
    assert source.begun == 2


async def test_other_questions_do_not_wait() -> None:
    source, readings = Source(), SharedReadings[int]()
    tasks = [asyncio.create_task(readings.get(key, source.read)) for key in "ab"]
    await turns()
    assert source.begun == 2
    for end in source.ends:
        end.set_result(None)
    assert sorted([await task for task in tasks]) == [1, 2]


async def test_a_reading_that_fails_is_not_everybodys() -> None:
    source, readings = Source(), SharedReadings[int]()
    tasks = [asyncio.create_task(readings.get("q", source.read)) for _ in range(3)]
    await turns()
    source.ends[0].set_exception(ValueError("away"))
    await turns()
    source.ends[1].set_result(None)
    with pytest.raises(ValueError, match="away"):
        await tasks[0]
    assert await tasks[1] == await tasks[2] == 2


async def test_who_leaves_leaves_the_reading_to_the_next() -> None:
    source, readings = Source(), SharedReadings[int]()
    gone = asyncio.create_task(readings.get("q", source.read))
    await turns()
    stays = asyncio.create_task(readings.get("q", source.read))
    gone.cancel()
    await turns()
    source.ends[1].set_result(None)
    assert await stays == 2


async def test_nothing_is_kept() -> None:
    readings = SharedReadings[int]()
    numbers = count(1)

    async def read() -> int:
        return next(numbers)

    assert [await readings.get("q", read), await readings.get("q", read)] == [1, 2]
    assert readings._questions == {}
