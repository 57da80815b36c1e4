"""`coulance demo`: a newcomer's first minute."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from coulance.platform.address import public, serves

CHECKOUT = Path(__file__).resolve().parents[3]
OPERATOR = "demo"

Tell = Callable[[int, int], None]


class Show:
    """What the demo prints: a line for each step that is done, a bar while one runs."""

    def __init__(self) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.started = time.monotonic()

    def say(self, text: str, style: str = "") -> None:
        """A line."""
        self.console.print(Text(text, style=style))

    def done(self, text: str) -> None:
        """A step that is done, with the time so far."""
        self.console.print(Text(f"{time.monotonic() - self.started:6.1f} s  ", style="dim") + Text(text))

    @contextmanager
    def bar(self, what: str) -> Iterator[Tell]:
        """A progress bar on a terminal."""
        columns = (TextColumn(f"        {what}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(what, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


@click.command()
@click.option("--no-serve", is_flag=True, help="End after the summary.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Feed the series in this directory instead of made-up ones (docs/metering.md says in which form).",
)
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535), help="Port to serve on.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes that close.")
@click.pass_context
def demo(ctx: click.Context, no_serve: bool, data: Path | None, port: int, workers: int) -> None:
    """Show the main job: three months of a made-up provider, from samples to explained and paid invoices."""
    name = "demo" if data is None else "demo-data"
    if not (CHECKOUT / "examples" / "provider.toml").is_file():
        raise click.ClickException(
            "the demo reads examples/ and runs in a checkout of the project: use make demo there"
        )
    os.environ.setdefault("COULANCE_HOME", str(CHECKOUT / "var" / name))
    port = port if no_serve else _free(port)
    serves(f"http://127.0.0.1:{port}")  # every mail of the story leads there
    # The demo is a world of its own: it never touches a database that the environment happens to name.
    # Nor does it mail anybody.
    for name in ("DATABASE_URL", "COULANCE_MAIL", "COULANCE_BOUNCES", "COULANCE_TICKET_MAIL"):
        os.environ.pop(name, None)
    show = Show()
    from coulance.cli.session import working_database

    with working_database(migrated=False) as here:
        from coulance.platform import schema

        schema.migrate()  # its database is nobody else's: after an upgrade too, the demo just runs
        show.done(f"PostgreSQL runs, with its data in {here.home}")
        live = _live_start() if data is None else []
        if data is None:
            _story(show, here.home, workers)
        else:
            _real(show, data, workers)
        documents = _write_pdfs(show, here.home / "documents")
        if data is None:
            _live_end(show, live)
            _control(show, here.home)
            _arrears(show, here.home)
            _rails(show, here.home)
            _promises(show, here.home)
            _contracts(show)
        _summary(show, documents, here.home)
        link = _sign_in()
    if no_serve:
        show.say(f"\nTo look at it: coulance --home {os.environ['COULANCE_HOME']} up, and there: operator link demo")
        return
    _serve(ctx, show, port, link)


def _story(show: Show, home: Path, workers: int) -> None:
    from coulance.integrations.demo import story
    from coulance.usage import operations as usage

    made, new = story.set_up(CHECKOUT / "examples" / "provider.toml", home / "files")
    what = (
        f"imported {len(made.accounts)} customers and {len(made.services)} services" if new else "customers are there"
    )
    show.done(f"examples/provider.toml is applied; {what}")
    if all(story.is_closed(*month) for month in story.MONTHS):
        show.done("every month is fed and closed: nothing to do")
        _office(show, home)
        return
    files = story.files_of(made)
    show.done(f"made up {sum(len(f) for f in files):,} readings in {len(files)} collectors' files")
    before: tuple[int, int] | None = None
    strayed: set[str] = set()
    for year, month in story.months_with_opening():
        at = story.closing_instant(year, month)
        with show.bar("feeding samples") as tell:
            began = time.monotonic()
            fed = story.feed(files, at.date(), tell)
            seconds = time.monotonic() - began
        story.customers_act(made, at.date())
        replayed = story.assign_unknown(made, at)
        usage.seal(now=at)
        words = f"fed {fed.rows:,} readings in {fed.files} files ({fed.rows / max(seconds, 0.001):,.0f} a second)"
        extras = [
            f"{count:,} {kind}"
            for kind, count in (
                ("resent", fed.duplicate),
                ("late", fed.late),
                ("corrected", fed.corrected),
                ("replayed from quarantine", replayed),
            )
            if count
        ]
        show.done(words + (f": {', '.join(extras)}" if extras else ""))
        for one in [m for m in (before, (year, month)) if m is not None]:
            with show.bar(f"closing {one[0]}-{one[1]:02d}") as tell:
                report = story.close(*one, at, tell, workers)
            if report.totals.documents or report.parked:
                _closed(show, report, again=one == before)
        before = (year, month)
        if (year, month) != story.MONTHS[-1]:
            _paid(show, home, year, month, strayed)
    _office(show, home, strayed)


def _paid(show: Show, home: Path, year: int, month: int, strayed: set[str]) -> None:
    """Customers pay what is open after a closing: a month of bank statements is made up and imported."""
    from coulance.integrations.demo import bank, story

    closed = story.closing_instant(year, month)
    last = (year, month) == story.MONTHS[-1]
    done = bank.pay(
        home / "bank",
        first=closed.date() + timedelta(days=1),
        at=closed + timedelta(days=29),
        seed=story.SEED + month,
        actor=story.ACTOR,
        swift=last,
        strayed=strayed,
    )
    if done is None:
        return
    made, report = done
    strayed.update(made.strayed)
    show.done(
        f"imported {len(made.statements)} bank statements ({'MT940' if last else 'camt.053'}): "
        f"{report.count('booked')} payments booked, {report.count('reversed')} came back, "
        f"{report.count('queued')} wait for a person; to the cent"
    )


def _office(show: Show, home: Path, strayed: set[str] | None = None) -> None:
    """What is done after the last closing: mails, e-invoices, payments, a credit, refunds, a statement of account."""
    from coulance.integrations.demo import office, story

    year, month = story.MONTHS[-1]
    closed = story.closing_instant(year, month)
    office.set_mail(home / "mails", actor=story.ACTOR, at=closed)
    began = time.monotonic()
    mailed = office.mail(f"{year}-{month:02d}", home / "mails", actor=story.ACTOR, at=closed + timedelta(hours=3))
    if mailed is not None:
        seconds = time.monotonic() - began
        show.done(
            f"mailed {mailed.documents} documents to {mailed.addresses} addresses in {seconds:.1f} s, as files; "
            f"came back: {', '.join(mailed.undelivered)}"
        )
        with show.bar("judging e-invoices") as tell:
            judged = office.judge_einvoices(tell)
        show.done(
            f"had {len(judged.valid) + len(judged.failed)} e-invoices judged by the rules of EN 16931: "
            f"{len(judged.valid)} valid, {len(judged.failed)} not"
        )
    _paid(show, home, year, month, strayed or set())
    at = closed + timedelta(days=30)
    on = at.astimezone(story.ZONE).date()
    if good := office.make_good(actor=story.ACTOR, at=at, on=on):
        show.done(
            f"credited half of {good.invoice} after it was paid ({good.credit_note}), and paid {good.refunded} back"
        )
    count, total = office.pay_back_doubles(actor=story.ACTOR, at=at, on=on)
    if total is not None:
        show.done(f"paid {total} back that came in twice ({count} payments)")
    if path := office.write_statement(home / "statements", start=date(2026, 7, 1), end=on + timedelta(days=1)):
        show.done(f"wrote a statement of account: {path}")


def _closed(show: Show, report: object, *, again: bool) -> None:
    from coulance.flows.closing.close_period import CloseReport
    from coulance.flows.closing.report import amounts

    assert isinstance(report, CloseReport)
    totals = report.totals
    parts = [
        f"{totals.documents[kind]} {words} {amounts(dict(totals.net[kind]))}"
        for kind, words in (("base_invoice", "base"), ("overage_invoice", "overage"), ("credit_note", "credit"))
        if totals.documents.get(kind)
    ]
    whom = "those billed on another day of " if again else ""
    show.done(
        f"closed {whom}{report.period} in {report.seconds:.1f} s: {totals.services} services, "
        f"{totals.samples:,} samples, coverage {float(totals.coverage):.1%}; {', '.join(parts)}"
    )
    for parked in report.parked:
        show.say(f"          parked account {parked.account}: {parked.reason}: {parked.detail}", "yellow")


def _real(show: Show, data: Path, workers: int) -> None:
    from coulance.integrations.demo import real

    real.tell(
        data,
        CHECKOUT / "examples" / "real-series.toml",
        say=show.done,
        closed=lambda report: _closed(show, report, again=False),
        bar=show.bar,
        workers=workers,
    )


def _write_pdfs(show: Show, folder: Path) -> list[Path]:
    """Every invoice and credit note as a PDF; those that are there stay. Two threads: typst does not hold the GIL."""
    from coulance.invoicing import queries as invoicing
    from coulance.invoicing.pdf import render

    folder.mkdir(parents=True, exist_ok=True)
    wanted = [
        row.number
        for kind in ("base_invoice", "overage_invoice", "credit_note")
        for row in invoicing.documents(kind=kind, state="issued", limit=100_000)
        if row.number
    ]
    missing = [number for number in wanted if not (folder / f"{number}.pdf").exists()]
    began = time.monotonic()

    def write(task: tuple[str, dict[str, object]]) -> None:
        number, snapshot = task
        part = folder / f".{number}.part"
        part.write_bytes(render(snapshot))
        part.rename(folder / f"{number}.pdf")

    with show.bar("writing PDFs") as tell, ThreadPoolExecutor(2) as pool:
        tasks = ((number, invoicing.document(number=number).snapshot) for number in missing)
        for done, _ in enumerate(pool.map(write, tasks), 1):
            tell(done, len(missing))
    seconds = time.monotonic() - began
    if missing:
        show.done(f"wrote {len(missing)} PDFs in {seconds:.1f} s ({len(missing) / seconds:.0f} a second), to {folder}")
    return [folder / f"{number}.pdf" for number in wanted]


def _live_start() -> list[str]:
    """Meter this very machine too: its own interfaces become a service, read now and once more at the end."""
    from coulance.catalog import queries as catalog
    from coulance.integrations.demo import live
    from coulance.platform import clock

    with contextlib.suppress(catalog.UnableToFindCatalogError):
        catalog.catalog()
        return live.read(clock.now())
    return []


def _live_end(show: Show, before: list[str]) -> None:
    from coulance.integrations.demo import live
    from coulance.platform import clock

    now = clock.now()
    live.register(now)
    live.read(now)
    if not before:
        time.sleep(1.1)
        live.read(clock.now())
    for line in live.told(clock.now()):
        show.done(line)


_PARTS = {
    "silent": "says nothing",
    "promises": "promised a day",
    "plan": "agreed to pay in parts, and didn't",
    "contests": "contests half a line and paid the rest",
    "pays": "paid after the second letter",
    "keeps": "pays in parts as agreed",
}


def _arrears(show: Show, home: Path) -> None:
    """Six customers who are late: what was done, where each is, one page and one dossier to open."""
    from coulance.integrations.demo import arrears, story
    from coulance.platform import clock

    closed = story.closing_instant(*story.MONTHS[-1])
    began = time.monotonic()
    told = arrears.tell(
        CHECKOUT / "examples" / "provider.toml",
        home,
        since=closed.date() + timedelta(days=15),
        now=clock.now(),
        actor=story.ACTOR,
    )
    if told is None:
        show.done("nobody is late enough for the story of arrears")
        return
    show.done(
        f"{len(told.stands)} customers are late ({time.monotonic() - began:.1f} s): {told.acts} acts, "
        f"{told.letters} letters, each step with notice, a way out and a backup"
    )
    for one in told.stands:
        held = f"; held up: {one.held}" if one.held else ""
        show.say(f"          {one.name} {_PARTS[one.part]}: {one.owed} open, last: {one.last}{held}")
    show.say("          what the first of them sees by the link in their mail:")
    show.say(f"          {public()}{told.page}", "cyan")
    command = f"coulance --home {os.environ['COULANCE_HOME']} dossier {told.silent} claim.pdf --reason 'a look at it'"
    show.say(f"          the dossier of that claim: {command}")


def _promises(show: Show, home: Path) -> None:
    """One server that was down for an hour: seen by a probe, credited unasked, with its arithmetic."""
    from coulance.integrations.demo import promises, story
    from coulance.platform import clock

    year, month = story.MONTHS[-1]
    told = promises.tell(
        CHECKOUT / "examples" / "provider.toml", home, year=year, month=month, now=clock.now(), actor=story.ACTOR
    )
    if told is None:
        show.done("no base fee was billed that a promise could rest on")
        return
    show.done(
        f"{told.service} was down {told.minutes} minutes ({told.percent} % up): {told.credited} credited unasked, "
        f"by {', '.join(told.numbers) or 'what comes next'}"
    )
    show.say(told.why)


def _rails(show: Show, home: Path) -> None:
    """Customers on direct debit with a file, an answer and a return, and one card."""
    from coulance.integrations.demo import rails, story
    from coulance.platform import clock

    for line in rails.tell(CHECKOUT / "examples" / "provider.toml", home, now=clock.now(), actor=story.ACTOR):
        show.done(line)


def _contracts(show: Show) -> None:
    """Two service contracts of one price: which is unfair, to whom, and what they should cost."""
    from coulance.integrations.demo import contracts
    from coulance.platform import clock

    for line in contracts.tell(at=clock.now()):
        show.done(line)


def _control(show: Show, home: Path) -> None:
    """The running month under control: who was warned, reached, paused; and one customer's page to open."""
    from coulance.drivers.record import RecordOnly
    from coulance.enforcement import executing
    from coulance.integrations.demo import control, story
    from coulance.platform import clock

    paper = RecordOnly()
    began = time.monotonic()
    told = control.tell(
        CHECKOUT / "examples" / "provider.toml",
        home,
        now=clock.now(),
        actor=story.ACTOR,
        execute=lambda at: executing.round_of({"paper": paper}, worker="demo", now=lambda: at),
    )
    if told is None:
        show.done("this month has only just begun: the story of its limits needs an hour of it")
        return
    show.done(
        f"this month, {told.watched} customers decide how far overage goes ({time.monotonic() - began:.1f} s): "
        f"{told.warned} were warned, {told.reached} of them reached, {told.answered} allowed more up to a limit, "
        f"{told.paused} are paused, {told.to_call} to be called"
    )
    show.done(
        f"past the allowances, {told.charged} may be charged by those limits; {told.absorbed} ran on and is absorbed"
    )
    if told.page:
        show.say(f"          {told.whose} is at its limit; their page, as they see it by the link in the mail:")
        show.say(f"          {public()}{told.page}", "cyan")


def _summary(show: Show, documents: list[Path], home: Path) -> None:
    from coulance.integrations.demo import summary

    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in summary.totals():
        table.add_row(Text(name, style="dim"), Text(value))
    show.say("")
    show.console.print(table)
    stories = summary.stories()
    if stories:
        show.say("\nSome of them:", "bold")
        for title, words in stories:
            show.console.print(Text(f"  {title:<25}", style="cyan") + Text(words))
    if (home / "mails").is_dir():
        show.say("\nWhere to look:", "bold")
        for title, words in summary.places(home):
            show.console.print(Text(f"  {title:<25}", style="cyan") + Text(words))
    show.say(f"\n{len(documents)} PDFs; it all took {time.monotonic() - show.started:.0f} s.")


def _sign_in() -> str:
    from coulance.platform import clock, operators

    at = clock.now()
    if not any(person.name == OPERATOR for person in operators.operators()):
        operators.make_operator(name=OPERATOR, email="", password=None, at=at, actor="demo")
    return operators.make_link(name=OPERATOR, at=at, actor="demo", lasts=timedelta(hours=12))


def _free(port: int) -> int:
    """The first port from there on that nothing listens on; the same if ten are taken, so that `up` says by what."""
    from coulance.platform import supervisor

    for candidate in range(port, port + 10):
        with contextlib.suppress(RuntimeError):
            supervisor.require_free_port("127.0.0.1", candidate)
            return candidate
    return port


def _serve(ctx: click.Context, show: Show, port: int, link: str) -> None:
    """Serve what was made, and go on metering this machine, until Ctrl-C."""
    from coulance.cli.up import up

    show.say(f"\nOpen {public()}/sign-in/{link}", "bold green")
    show.say("(the link signs you in once; Ctrl-C stops)\n")
    ctx.invoke(up, host="127.0.0.1", port=port, workers=1, threads=8, collect=15)
