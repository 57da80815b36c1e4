"""A plain letter by mail: greeting, paragraphs, one button, what to know of the link; as text and as HTML.

For what is asked or told in a few sentences: the choice before a bill, advice, an invitation, a decision. The HTML
loads nothing from anywhere and stands without its styles.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext as _

from coulance.catalog import queries as catalogs
from coulance.customers import queries as customers
from coulance.flows.sending.wording import STYLE, Written
from coulance.notices import queries as sent
from coulance.platform import address
from coulance_core.notices import Choice, MessageKind, Person, choose


@dataclass(frozen=True, slots=True)
class Letter:
    """What it says, in the language it is in already. `box` stands out, and more so where the reader `owes`;
    `rows` is a table; `link` is a button; `picture` is drawn in plain text and in HTML, which is taken as it is."""

    subject: str
    name: str
    paragraphs: Sequence[str]
    box: tuple[str, str] | None = None
    rows: Sequence[tuple[str, str]] = ()
    after: Sequence[str] = ()
    button: str = ""
    link: str = ""
    care: str = ""
    picture: tuple[str, str] = ("", "")
    owes: bool = True


def written(letter: Letter, *, language: str) -> Written:
    """The letter as a mail."""
    with translation.override(language):
        return Written(language, letter.subject, _text(letter), _html(letter, language))


def people_of(account: int) -> list[Person]:
    """An account's contacts as recipients."""
    return [
        Person(
            ref=one.external_id,
            name=one.name,
            address=one.email,
            language=one.language,
            roles=tuple(one.roles),
            channels=tuple(one.channels),
            mailbox_service=one.mailbox_service,
            may_incur_cost=one.may_incur_cost,
        )
        for one in customers.contacts([account])
    ]


def recipients(account: int, kind: MessageKind) -> Choice:
    """Who of an account gets a letter of that kind."""
    people = people_of(account)
    return choose(people, kind, dead=sent.dead_among([person.address for person in people if person.address]))


def base() -> str:
    """The beginning of every link in a letter: where people reach us."""
    return address.public()


def _greeting(letter: Letter) -> str:
    return _("Hello %(name)s,") % {"name": letter.name} if letter.name else _("Hello,")


def _foot() -> tuple[str, str, str]:
    seller = catalogs.catalog().provider
    return _("Kind regards,"), seller.name, seller.email or ""


def _text(letter: Letter) -> str:
    parts = [_greeting(letter)]
    if letter.box:
        parts.append(f"{letter.box[0]}: {letter.box[1]}")
    parts += letter.paragraphs
    if letter.rows:
        wide = max(len(label) for label, _amount in letter.rows)
        parts.append("\n".join(f"  {label.ljust(wide)}  {amount}" for label, amount in letter.rows))
    parts.append(letter.picture[0])
    parts += letter.after
    if letter.link:
        parts.append(f"{letter.button}:\n{letter.link}")
    parts += [letter.care, "\n".join(line for line in _foot() if line)]
    return "\n\n".join(part for part in parts if part).replace("\u00a0", " ") + "\n"


def _html(letter: Letter, language: str) -> str:
    def paragraphs(lines: Sequence[str]) -> str:
        return "".join(f"<p>{escape(line)}</p>" for line in lines)

    box = ""
    if letter.box:
        said, amount = letter.box
        tone = "box due" if letter.owes else "box"
        box = f'<div class="{tone}"><p class="dim">{escape(said)}</p><p class="amount">{escape(amount)}</p></div>'
    rows = "".join(
        f'<tr><td>{escape(label)}</td><td align="right">{escape(amount)}</td></tr>' for label, amount in letter.rows
    )
    button = ""
    if letter.link:
        button = f'<p><a class="button" href="{escape(letter.link)}" rel="noreferrer">{escape(letter.button)}</a></p>'
    regards, seller, email = _foot()
    return _PAGE.format(
        language=language,
        title=escape(letter.subject),
        style=STYLE,
        greeting=escape(_greeting(letter)),
        box=box,
        body=paragraphs(letter.paragraphs),
        rows=f'<table class="rows" role="presentation">{rows}</table>' if rows else "",
        picture=letter.picture[1],
        after=paragraphs(letter.after),
        button=button,
        care=f'<p class="dim">{escape(letter.care)}</p>' if letter.care else "",
        regards=escape(regards),
        foot="<br>".join([f"<strong>{escape(seller)}</strong>", *([escape(email)] if email else [])]),
    )


_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}
.rows {{ border-collapse: collapse; margin: 0 0 14px; }}
.rows td {{ padding: 3px 18px 3px 0; vertical-align: top; font-variant-numeric: tabular-nums; }}
.button {{ display: inline-block; background: #1d5a80; color: #ffffff; padding: 11px 20px; border-radius: 6px;
          text-decoration: none; font-weight: 600; }}
</style>
</head>
<body>
<div class="page">
<h1>{title}</h1>
<p>{greeting}</p>
{box}
{body}
{rows}
{picture}
{after}
{button}
{care}
<div class="foot">{regards}<br>{foot}</div>
</div>
</body>
</html>
"""
