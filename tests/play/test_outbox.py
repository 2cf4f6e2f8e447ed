"""A thread that is ahead of its reader waits, and is told when the reader has left."""

import asyncio
import threading
import time

import pytest

from simpl_sb3.play.outbox import Closed, Outbox


def test_messages_arrive_in_order_and_the_writer_waits_for_the_reader() -> None:
    async def scene() -> None:
        outbox, put = Outbox(limit=3), list[int]()

        def write() -> None:
            for number in range(10):
                outbox.put(number)
                put.append(number)

        writer = threading.Thread(target=write)
        writer.start()
        await asyncio.sleep(0.2)
        assert put == [0, 1, 2]  # the fourth waits
        assert [await outbox.get() for _ in range(10)] == list(range(10))
        await asyncio.to_thread(writer.join, 10.0)
        assert put == list(range(10))

    asyncio.run(scene())


def test_a_writer_that_waits_is_told_that_the_reader_has_left() -> None:
    async def scene() -> None:
        outbox, told = Outbox(limit=1), list[str]()

        def write() -> None:
            outbox.put("one")
            try:
                outbox.put("two")
            except Closed:
                told.append("closed")

        writer = threading.Thread(target=write)
        writer.start()
        await asyncio.sleep(0.1)
        outbox.close()
        await asyncio.to_thread(writer.join, 10.0)
        assert told == ["closed"]
        with pytest.raises(Closed):
            outbox.put("three")

    asyncio.run(scene())


def test_a_reader_waits_for_a_message() -> None:
    async def scene() -> None:
        outbox = Outbox()
        threading.Thread(target=lambda: (time.sleep(0.1), outbox.put("late"))).start()
        assert await asyncio.wait_for(outbox.get(), 10.0) == "late"

    asyncio.run(scene())
