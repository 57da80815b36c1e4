"""What a mail with a document says, in the reader's language: what it is, how much, due when, how to pay, and what for.

All own texts go through gettext (`flows/locale`); what explains the amount is the very sentence that the document
prints. The HTML loads nothing from anywhere, stands without its styles, and has colours for dark screens too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import translation
from django.utils.html import escape
from django.utils.translation import gettext as _

from coulance.invoicing.documents.view import view

LANGUAGES = ("en", "nl")


@dataclass(frozen=True, slots=True)
class Written:
    """A mail's words."""

    language: str
    subject: str
    text: str
    html: str


def language_of(tag: str) -> str:
    """The language we write to somebody of this language tag: theirs where we have it, else English.

    >>> language_of("nl-BE"), language_of("de")
    ('nl', 'en')
    """
    primary = tag.lower().replace("_", "-").split("-")[0]
    return primary if primary in LANGUAGES else "en"


def write(
    snapshot: Mapping[str, Any], *, language: str, name: str = "", forms: tuple[str, ...] = (), contest: str = ""
) -> Written:
    """The mail that takes a document along. `name` is who reads it (empty: several do).

    `forms` are the electronic forms attached beside the PDF; `contest` is the link to contest an invoice.
    Raises `UnableToRenderError` for what is no document.
    """
    own = language_of(language)
    shown = view({**snapshot, "language": own}, pictures=False)
    with translation.override(own):
        return _Mail(snapshot, shown, own, name, forms, contest).written()


@dataclass(frozen=True, slots=True)
class _Mail:
    snapshot: Mapping[str, Any]
    shown: Mapping[str, Any]
    language: str
    name: str
    forms: tuple[str, ...]
    contest: str = ""

    def written(self) -> Written:
        return Written(self.language, self._subject(), self._text(), self._html())

    @property
    def _due(self) -> bool:
        return bool(self.shown["callout"]["tone"] == "due")

    def _said(self) -> dict[str, str]:
        callout = self.shown["callout"]
        return {
            "number": str(self.snapshot["number"]),
            "seller": str(self.shown["seller"]["name"]),
            "amount": str(callout["amount"]),
            "by": str(callout["by"]),
        }

    def _subject(self) -> str:
        said = self._said()
        match self.snapshot["kind"]:
            case "usage_statement":
                return _("Usage statement %(number)s from %(seller)s") % said
            case "credit_note":
                return _("Credit note %(number)s from %(seller)s: %(amount)s in your favour") % said
            case "debit_note":
                return _("Debit note %(number)s from %(seller)s: %(amount)s, %(by)s") % said
            case "overage_invoice" if self._due:
                return _("Overage invoice %(number)s from %(seller)s: %(amount)s, %(by)s") % said
            case _ if self._due:
                return _("Invoice %(number)s from %(seller)s: %(amount)s, %(by)s") % said
            case _:
                return _("Invoice %(number)s from %(seller)s: nothing to pay") % said

    def _greeting(self) -> str:
        return _("Hello %(name)s,") % {"name": self.name} if self.name else _("Hello,")

    def _intro(self) -> str:
        said = self._said() | {"customer": str(self.snapshot["buyer"].get("name") or "")}
        match self.snapshot["kind"]:
            case "usage_statement":
                return _("Here is usage statement %(number)s for %(customer)s.") % said
            case "credit_note":
                return _("Here is credit note %(number)s for %(customer)s.") % said
            case "debit_note":
                return _("Here is debit note %(number)s for %(customer)s.") % said
            case "overage_invoice":
                return _("Here is overage invoice %(number)s for %(customer)s.") % said
            case _:
                return _("Here is invoice %(number)s for %(customer)s.") % said

    def _rows(self) -> list[tuple[str, str]]:
        """How much and how to pay it: the document's own box."""
        callout = self.shown["callout"]
        rows = [(str(callout["label"]), str(callout["amount"] or "–"))] if callout["amount"] else []
        return rows + [(str(label), str(value)) for label, value in callout["how"]]

    def _attached(self) -> str:
        shown = {"ubl": "UBL", "cii": "CII"}
        names = [shown[form] for form in self.forms if form in shown]
        if "factur_x" in self.forms:
            names.append("Factur-X")
        if names:
            return _("The PDF is attached, and for your bookkeeping: %(forms)s.") % {"forms": ", ".join(names)}
        if self.snapshot["kind"] == "usage_statement":
            return _("The PDF is attached. It shows what was measured, step by step.")
        return _("The PDF is attached. It shows every line, and how it was computed.")

    def _wrong(self) -> str:
        if self.snapshot["kind"] == "usage_statement":
            return _("If something in it is not right, answer this mail and tell us.")
        if self.contest:
            return _(
                "Something in it is not right? Say which part by this link: it is set aside, and you pay the rest."
            )
        return _("If something in it is not right, answer this mail before you pay, and tell us which line.")

    def _why(self) -> list[str]:
        return [str(self.shown["why"]["about"]), *map(str, self.shown["why"]["reasons"])]

    def _text(self) -> str:
        callout = self.shown["callout"]
        rows = self._rows()
        width = max((len(label) for label, _value in rows), default=0)
        about, *reasons = self._why()
        parts = [self._greeting(), self._intro(), about]
        if reasons:
            parts.append("\n".join(f"- {reason}" for reason in reasons))
        box = [f"  {label.ljust(width)}  {value}".rstrip() for label, value in rows]
        if callout["by"]:
            box.append(f"  {callout['by'][:1].upper()}{callout['by'][1:]}")
        wrong = f"{self._wrong()}\n{self.contest}".rstrip()
        parts += ["\n".join(box), self._attached(), wrong, "\n".join(self._signature())]
        return "\n\n".join(part for part in parts if part).replace("\u00a0", " ") + "\n"

    def _signature(self) -> list[str]:
        seller = self.shown["seller"]
        return [_("Kind regards,"), str(seller["name"]), *map(str, seller["contact"])]

    def _html(self) -> str:
        callout = self.shown["callout"]
        about, *reasons = self._why()
        why = f"<p>{escape(about)}</p>"
        if reasons:
            why += "<ul>" + "".join(f"<li>{escape(reason)}</li>" for reason in reasons) + "</ul>"
        how = "".join(
            f'<tr><td class="dim">{escape(label)}</td><td>{escape(value)}</td></tr>' for label, value in callout["how"]
        )
        amount = f'<p class="amount">{escape(callout["amount"])}</p>' if callout["amount"] else ""
        by = f"<p>{escape(callout['by'][:1].upper() + callout['by'][1:])}</p>" if callout["by"] else ""
        table = f'<table role="presentation">{how}</table>' if how else ""
        tone = "box due" if self._due else "box"
        box = f'<div class="{tone}"><p class="dim">{escape(callout["label"])}</p>{amount}{by}{table}</div>'
        regards, seller, *contact = self._signature()
        wrong: str = escape(self._wrong())
        if self.contest:
            wrong = f'<a href="{escape(self.contest)}" rel="noreferrer">{wrong}</a>'
        foot = "<br>".join([f"<strong>{escape(seller)}</strong>", *map(escape, contact)])
        return _PAGE.format(
            language=self.language,
            title=escape(self._subject()),
            style=STYLE,
            number=escape(f"{self.shown['title']} {self.snapshot['number']}"),
            greeting=escape(self._greeting()),
            intro=escape(self._intro()),
            box=box,
            why=why,
            attached=escape(self._attached()),
            wrong=wrong,
            regards=escape(regards),
            foot=foot,
        )


STYLE = """
body { margin: 0; padding: 24px 12px; background: #f4f4f1; color: #1f2328;
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }
.page { max-width: 600px; margin: 0 auto; background: #ffffff; border: 1px solid #e2e2dc; border-radius: 10px;
        padding: 28px 32px; }
h1 { font-size: 20px; line-height: 1.3; margin: 0 0 18px; }
p { margin: 0 0 14px; }
ul { margin: 0 0 14px; padding-left: 20px; }
li { margin: 0 0 6px; }
.box { border-left: 4px solid #6b7280; background: #f7f7f4; border-radius: 6px; padding: 16px 20px 14px;
       margin: 0 0 20px; }
.box.due { border-left-color: #b4451c; background: #fdf3ec; }
.box p { margin: 0 0 4px; }
.amount { font-size: 30px; line-height: 1.2; font-weight: 650; font-variant-numeric: tabular-nums; }
.box table { border-collapse: collapse; margin-top: 12px; font-size: 15px; }
.box td { padding: 3px 18px 3px 0; vertical-align: top; font-variant-numeric: tabular-nums; }
.dim { color: #5f6670; }
.foot { border-top: 1px solid #e2e2dc; margin-top: 22px; padding-top: 14px; font-size: 14px; color: #5f6670; }
@media (max-width: 480px) { .page { padding: 20px 18px; } }
@media (prefers-color-scheme: dark) {
  body { background: #16181b; color: #e6e7e9; }
  .page { background: #1f2226; border-color: #34383e; }
  .box { background: #272b30; }
  .box.due { background: #33261f; border-left-color: #e07b4f; }
  .dim, .foot { color: #a3a9b1; }
  .foot { border-color: #34383e; }
}
"""
_PAGE = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<div class="page">
<h1>{number}</h1>
<p>{greeting}</p>
<p>{intro}</p>
{box}
{why}
<p>{attached}</p>
<p>{wrong}</p>
<div class="foot">{regards}<br>{foot}</div>
</div>
</body>
</html>
"""
