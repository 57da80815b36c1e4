"""The job that closes a month that somebody asked for. Private to the room."""

from procrastinate.contrib.django import app

from coulance.platform import clock


@app.task
def close(errand: str) -> None:
    """Close, or try to close, the month of an errand."""
    from coulance.flows import background_close

    background_close.run(errand=errand, now=clock.now)
