"""``Outbox``: what a worker thread tells the page, at the page's pace."""

import asyncio
import threading
from collections import deque
from typing import Any

__all__ = ["Closed", "Outbox"]


class Closed(Exception):
    """Nobody reads any more."""


class Outbox:
    """
    A queue from a thread into an event loop. A thread that is ahead of the reader waits; once the reader has left,
    whoever puts something is told.

    :param limit: messages that may wait
    """

    def __init__(self, limit: int = 64) -> None:
        self._waiting: deque[Any] = deque()
        self._room = threading.Condition()
        self._limit, self._closed = limit, False
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def put(self, message: Any) -> None:
        """
        :raises Closed: when the reader has left
        """
        with self._room:
            self._room.wait_for(lambda: self._closed or len(self._waiting) < self._limit)
            if self._closed:
                raise Closed
            self._waiting.append(message)
        try:
            self._loop.call_soon_threadsafe(self._more.set)
        except RuntimeError:  # the loop has ended
            raise Closed from None

    async def get(self) -> Any:
        """The next message, as soon as there is one."""
        while True:
            with self._room:
                if self._waiting:
                    message = self._waiting.popleft()
                    self._room.notify()
                    return message
                self._more.clear()
            await self._more.wait()

    def close(self) -> None:
        """The reader leaves."""
        with self._room:
            self._closed = True
            self._room.notify_all()
