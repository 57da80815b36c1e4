"""Handing mail to an SMTP server, so that as little as SMTP allows is ever uncertain.

A server has a mail once it has the lone dot that ends it (RFC 5321, 4.1.1.4). So everything but that dot goes out
first; then it is written down that the mail is being sent; then the dot. What fails before is safe to try again. Only
between the dot and the answer can nobody know, and a mail that is lost there is *uncertain*.
"""

import re
import select
import smtplib
import socket
import ssl
from collections.abc import Callable

from coulance.notices.errors import UnableToReachServerError
from coulance.notices.terms import Mail
from coulance.notices.transport import Answer, Outcome, Transport

CONNECT_S = 30
ANSWER_S = 300
FINAL_ANSWER_S = 600
"""RFC 5321, 4.5.3.2.6: a server may think for ten minutes after the dot; giving up earlier makes doubles."""
_MOST_A_CONNECTION = 100

_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
# RFC 3463: X.1.x is about the address itself. Without such a code, these replies to RCPT say the same.
_BARE_DEAD = {550, 551, 553}


def dead_address(code: int, text: str) -> bool:
    """Whether a refusal says that the address can't be, rather than that this mail is not wanted.

    >>> dead_address(550, "5.1.1 no such user"), dead_address(550, "5.7.1 blocked"), dead_address(550, "unknown user")
    (True, False, True)
    """
    found = _ENHANCED.search(text)
    if found:
        return found[1] == "5" and found[2] == "1" and found[3] in ("1", "2", "3", "6", "10")
    return code in _BARE_DEAD


class BySmtp:
    """A connection to the SMTP server, kept for many mails and renewed now and then."""

    def __init__(self, transport: Transport) -> None:
        self._where = transport
        self._smtp: smtplib.SMTP | None = None
        self._sent = 0
        self._open()

    def hand_over(self, mail: Mail, data: bytes, *, before_last: Callable[[], None]) -> Answer:
        """See `transport.Connection`."""
        if self._smtp is None or self._sent >= _MOST_A_CONNECTION:
            self._open()
        self._sent += 1
        try:
            refused = self._envelope(mail, len(data))
        except (smtplib.SMTPException, OSError) as fault:
            self.close()
            raise UnableToReachServerError(f"{self._where.shown} broke off: {_said(fault)}") from fault
        if refused is not None:
            return refused
        return self._data(data, before_last)

    def close(self) -> None:
        """See `transport.Connection`."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            try:
                smtp.quit()
            except (smtplib.SMTPException, OSError, ValueError):
                smtp.close()

    def _drop(self) -> None:
        """Close without a word: QUIT after half a mail could be taken for a part of it."""
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            smtp.close()

    def _open(self) -> None:
        self.close()
        where = self._where
        smtp: smtplib.SMTP | None = None
        try:
            if where.tls == "implicit":
                smtp = smtplib.SMTP_SSL(where.host, where.port, timeout=CONNECT_S, context=ssl.create_default_context())
            else:
                smtp = smtplib.SMTP(where.host, where.port, timeout=CONNECT_S)
            smtp.ehlo()
            if where.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
                smtp.ehlo()
            if where.user:
                smtp.login(where.user, where.password)
            if smtp.sock is not None:
                smtp.sock.settimeout(ANSWER_S)
        except smtplib.SMTPAuthenticationError as fault:
            _shut(smtp)
            raise UnableToReachServerError(
                f"{where.shown} doesn't take our user and password ({fault.smtp_code}): set the secret `mail` anew"
            ) from fault
        except smtplib.SMTPNotSupportedError as fault:
            _shut(smtp)
            raise UnableToReachServerError(
                f"{where.shown} can't do what the secret `mail` asks for: {_said(fault)}"
            ) from fault
        except (smtplib.SMTPException, OSError) as fault:
            _shut(smtp)
            raise UnableToReachServerError(f"{where.shown} can't be reached: {_said(fault)}") from fault
        self._smtp, self._sent = smtp, 0

    def _envelope(self, mail: Mail, size: int) -> Answer | None:
        """MAIL and RCPT; what is refused, or None when the mail may follow."""
        assert self._smtp is not None
        smtp = self._smtp
        options = [f"SIZE={size}"] if smtp.has_extn("size") else []
        notify = []
        if smtp.has_extn("dsn"):
            options += ["RET=HDRS", f"ENVID={re.sub(r'[^!-*,-<>-~]', '', mail.header_id.strip('<>'))}"]
            notify = ["NOTIFY=FAILURE,DELAY"]
        code, said = smtp.mail(mail.envelope_sender, options)
        if code != 250:
            text = _text(code, said)
            # Too large is about this mail; any other refusal of the sender is about us, and would be so for every mail.
            if code == 552:
                smtp.rset()
                return Answer(Outcome.REFUSED, text, self._where.host)
            self.close()
            raise UnableToReachServerError(f"{self._where.shown} doesn't take mail from {mail.envelope_sender}: {text}")
        code, said = smtp.rcpt(mail.envelope_recipient, notify)
        if code in (250, 251, 252):
            return None
        text = _text(code, said)
        if code == 421:
            self.close()
            raise UnableToReachServerError(f"{self._where.shown} closes: {text}")
        smtp.rset()
        if code >= 500:
            return Answer(Outcome.REFUSED, text, self._where.host, dead_address=dead_address(code, text))
        return Answer(Outcome.DEFERRED, text, self._where.host)

    def _data(self, data: bytes, before_last: Callable[[], None]) -> Answer:
        assert self._smtp is not None
        smtp, host = self._smtp, self._where.host
        try:
            code, said = smtp.docmd("DATA")
            if code != 354:
                text = _text(code, said)
                smtp.rset()
                return Answer(Outcome.REFUSED if code >= 500 else Outcome.DEFERRED, text, host)
            assert smtp.sock is not None
            body = re.sub(rb"(?m)^\.", b"..", data)
            smtp.sock.sendall(body if body.endswith(b"\r\n") else body + b"\r\n")
            if select.select([smtp.sock], [], [], 0)[0]:
                self._drop()  # it speaks, or has gone, before the end: it can't have taken the mail
                return Answer(Outcome.DEFERRED, "the server broke off before the end of the mail", host)
        except (smtplib.SMTPException, OSError) as fault:
            self._drop()
            return Answer(Outcome.DEFERRED, f"the connection broke before the end of the mail: {_said(fault)}", host)
        try:
            before_last()
        except BaseException:
            self._drop()
            raise
        try:
            smtp.sock.settimeout(FINAL_ANSWER_S)
            smtp.sock.sendall(b".\r\n")
            code, said = smtp.getreply()
            if smtp.sock is not None:
                smtp.sock.settimeout(ANSWER_S)
        except (smtplib.SMTPException, OSError) as fault:
            self._drop()
            return Answer(Outcome.UNCERTAIN, f"the server never answered the end of the mail: {_said(fault)}", host)
        text = _text(code, said)
        if 200 <= code < 300:
            return Answer(Outcome.ACCEPTED, text, host)
        if code == 421:
            self.close()
        if code >= 500:
            return Answer(
                Outcome.REFUSED, text, host, dead_address=bool(_ENHANCED.search(text)) and dead_address(code, text)
            )
        if code < 400:
            self._drop()
            return Answer(Outcome.UNCERTAIN, f"the server answered the end of the mail oddly: {text}", host)
        return Answer(Outcome.DEFERRED, text, host)


def _shut(smtp: smtplib.SMTP | None) -> None:
    if smtp is not None:
        smtp.close()


def _text(code: int, said: bytes) -> str:
    return f"{code} {said.decode('utf-8', 'replace')}"[:500].replace("\n", " ")


def _said(fault: BaseException) -> str:
    if isinstance(fault, socket.gaierror):
        return "there is no host of that name"
    if isinstance(fault, TimeoutError):
        return "it didn't answer in time"
    return re.sub(r"\s+", " ", str(fault) or type(fault).__name__)[:300]
