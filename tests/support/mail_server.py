"""A real SMTP server on a port of its own, whose mood depends on whom it is asked to take mail for.

The part of the address before the @ (up to a +) says what happens: see `MOODS`. Everything taken is kept in `taken`.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP

MOODS = {
    "unknown": "550 5.1.1 at RCPT",
    "blocked": "550 5.7.1 at RCPT",
    "full": "452 4.2.2 at RCPT",
    "spam": "554 5.7.1 after the mail",
    "later": "451 4.3.0 after the mail",
    "cut": "closes amid the mail, which it does not take",
    "hush": "takes the mail, and closes without saying so",
    "closing": "421 at RCPT",
}


@dataclass
class Taken:
    """A mail that the server took."""

    sender: str
    recipient: str
    data: bytes

    @property
    def mail(self) -> EmailMessage:
        """It, parsed."""
        found = message_from_bytes(self.data, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found


@dataclass
class MailServer:
    """What it took and was asked; `moods` may be changed at any time, by the local part of an address."""

    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    connections: int = 0
    moods: dict[str, str] = field(default_factory=lambda: {mood: mood for mood in MOODS})

    @property
    def url(self) -> str:
        """Its address as the secret `mail` wants it, one connection at a time."""
        return f"smtp://127.0.0.1:{self.port}?tls=none&connections=1"

    def mood(self, address: str) -> str:
        """What happens to mail for an address."""
        return self.moods.get(address.partition("@")[0].partition("+")[0], "")

    def counts(self) -> Counter[str]:
        """How often each Message-ID was taken."""
        return Counter(str(one.mail["Message-ID"]) for one in self.taken)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        self.asked[address] += 1
        answer = {
            "unknown": "550 5.1.1 there is no such user here",
            "blocked": "550 5.7.1 we do not want your mail",
            "full": "452 4.2.2 the mailbox is full",
            "closing": "421 4.3.2 going down",
        }.get(self.mood(address))
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        address = envelope.rcpt_tos[0]
        mood = self.mood(address)
        if mood == "spam":
            return "554 5.7.1 this looks like spam"
        if mood == "later":
            return "451 4.3.0 try again later"
        self.taken.append(Taken(envelope.mail_from, address, envelope.original_content))
        if mood == "hush":
            server.transport.abort()
        return "250 2.0.0 queued as 4F2C"


class _Moody(SMTP):
    async def smtp_DATA(self, arg: str) -> None:
        handler: MailServer = self.event_handler
        if self.envelope.rcpt_tos and handler.mood(self.envelope.rcpt_tos[0]) == "cut":
            await self.push("354 go on")
            self.transport.close()
            return
        await super().smtp_DATA(arg)


@contextmanager
def mail_server() -> Iterator[MailServer]:
    """A server for as long as the block takes."""
    loop = asyncio.new_event_loop()
    state = MailServer()

    def made() -> SMTP:
        state.connections += 1
        return _Moody(state, loop=loop, hostname="mail.test", timeout=60)

    async def listen() -> asyncio.Server:
        return await loop.create_server(made, "127.0.0.1", 0)

    async def stop(server: asyncio.Server) -> None:
        server.close()
        server.close_clients() if hasattr(server, "close_clients") else None
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_forever, name="mail server", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    state.port = server.sockets[0].getsockname()[1]
    try:
        yield state
    finally:
        asyncio.run_coroutine_threadsafe(stop(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
