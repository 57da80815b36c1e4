"""The worker, a part of `coulance up`: runs the rooms' tasks."""

import asyncio
import logging
import os
from typing import cast

import django


def main() -> None:
    """Run jobs until SIGTERM or SIGINT, then finish the ones at hand (25 s at most).

    Ends with status 0 also when it loses the database: the supervisor starts it again.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
    django.setup()
    from procrastinate.contrib.django import app
    from procrastinate.contrib.django.django_connector import DjangoConnector

    async def run() -> None:
        async with app.open_async():
            await app.run_worker_async(
                name="coulance",
                concurrency=4,
                shutdown_graceful_timeout=25,
                update_heartbeat_interval=10,
                stalled_worker_timeout=30,
            )

    logging.getLogger("procrastinate").setLevel(logging.WARNING)
    connector = cast(DjangoConnector, app.connector)
    with app.replace_connector(connector.get_worker_connector()):
        asyncio.run(run())
