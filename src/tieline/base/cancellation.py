"""Cancellation that was swallowed on the way: raised again."""

import asyncio


def heed_cancellation() -> None:
    """Raise `CancelledError` in a task that is being cancelled.

    Before Python 3.12 `asyncio.wait_for` may swallow a cancellation (cpython issue 86296), and nats-py and aiomqtt
    wait with it: without a look here, a loop that was told to end would go on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
