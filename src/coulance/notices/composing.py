"""The bytes of a mail. The same mail with the same date gives the same bytes, so that a hash can prove them later."""

from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256

from coulance.notices.addresses import header_text
from coulance.notices.terms import Mail


def compose(mail: Mail, *, at: datetime) -> bytes:
    """The whole mail, lines ended by CRLF, seven bits: text and HTML as alternatives, then what is attached."""
    message = EmailMessage(policy=SMTP)
    message["From"] = _address(mail.sender_name, mail.sender)
    message["To"] = [_address(name, address) for name, address in mail.shown_to]
    if mail.reply_to:
        message["Reply-To"] = _address("", mail.reply_to)
    message["Subject"] = header_text(mail.subject)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = mail.header_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice needs to answer
    message.set_content(mail.text, cte="quoted-printable")
    if mail.html:
        message.add_alternative(mail.html, subtype="html", cte="base64")  # quoted-printable is slow, in pure Python
    for file in mail.files:
        main, _, sub = file.media_type.partition("/")
        message.add_attachment(
            file.content, maintype=main, subtype=sub or "octet-stream", filename=header_text(file.name, most=150)
        )
    message["Content-Language"] = mail.language  # last: adding parts would move it into the first
    for no, part in enumerate(p for p in message.walk() if p.is_multipart()):
        part.set_boundary(f"=_{sha256(f'{mail.header_id} {no}'.encode()).hexdigest()[:32]}")
    return message.as_bytes()


def _address(name: str, address: str) -> Address:
    return Address(display_name=header_text(name, most=120), addr_spec=address)
