"""The `coulance` command.

Its sub-commands are listed here with their one line of help, and imported only when one is asked for: `coulance --help`
and shell completion must not wait for Django. To add one, write its module and an `_Entry` below; a test holds that
the line here is the line of the command itself.
"""

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import click

from coulance import __version__


class _Entry(NamedTuple):
    help: str
    load: Callable[[], click.Command]


def _up() -> click.Command:
    from coulance.cli.up import up

    return up


def _demo() -> click.Command:
    from coulance.cli.demo import demo

    return demo


def _explain() -> click.Command:
    from coulance.cli.evidence import explain

    return explain


def _export() -> click.Command:
    from coulance.cli.evidence import export

    return export


def _overage() -> click.Command:
    from coulance.cli.overage import overage

    return overage


def _credit() -> click.Command:
    from coulance.cli.credit import credit

    return credit


def _einvoice() -> click.Command:
    from coulance.cli.einvoice import einvoice

    return einvoice


def _replay() -> click.Command:
    from coulance.cli.evidence import replay

    return replay


def _close() -> click.Command:
    from coulance.cli.close import close

    return close


def _doctor() -> click.Command:
    from coulance.cli.doctor import doctor

    return doctor


def _backup() -> click.Command:
    from coulance.cli.backup import backup

    return backup


def _restore() -> click.Command:
    from coulance.cli.backup import restore

    return restore


def _migrate() -> click.Command:
    from coulance.cli.migrate import migrate

    return migrate


def _operator() -> click.Command:
    from coulance.cli.operator import operator

    return operator


def _token() -> click.Command:
    from coulance.cli.token import token

    return token


def _webhook() -> click.Command:
    from coulance.cli.webhook import webhook

    return webhook


def _check() -> click.Command:
    from coulance.cli.catalog import check

    return check


def _plan() -> click.Command:
    from coulance.cli.catalog import plan

    return plan


def _apply() -> click.Command:
    from coulance.cli.catalog import apply

    return apply


def _schema() -> click.Command:
    from coulance.cli.catalog import schema

    return schema


def _import() -> click.Command:
    from coulance.cli.imports import import_

    return import_


def _usage() -> click.Command:
    from coulance.cli.usage import usage

    return usage


def _collect() -> click.Command:
    from coulance.cli.usage import collect

    return collect


def _collectors() -> click.Command:
    from coulance.cli.collectors import collectors

    return collectors


def _enforce() -> click.Command:
    from coulance.cli.enforce import enforce

    return enforce


def _advise() -> click.Command:
    from coulance.cli.advise import advise

    return advise


def _goodwill() -> click.Command:
    from coulance.cli.goodwill import goodwill

    return goodwill


def _ledger() -> click.Command:
    from coulance.cli.ledger import ledger

    return ledger


def _bank() -> click.Command:
    from coulance.cli.bank import bank

    return bank


def _send() -> click.Command:
    from coulance.cli.send import send

    return send


def _mail() -> click.Command:
    from coulance.cli.mail import mail

    return mail


def _secret() -> click.Command:
    from coulance.cli.secret import secret

    return secret


def _reload() -> click.Command:
    from coulance.cli.reload import reload

    return reload


def _audit() -> click.Command:
    from coulance.cli.audit import audit

    return audit


def _alarms() -> click.Command:
    from coulance.cli.alarms import alarms

    return alarms


def _payment() -> click.Command:
    from coulance.cli.payment import payment

    return payment


def _takeover() -> click.Command:
    from coulance.cli.takeover import takeover

    return takeover


def _watch() -> click.Command:
    from coulance.cli.watch import watch

    return watch


def _account() -> click.Command:
    from coulance.cli.account import account

    return account


def _open_items() -> click.Command:
    from coulance.cli.account import open_items

    return open_items


# In the order in which a person meets them.
COMMANDS: dict[str, _Entry] = {
    "demo": _Entry(
        "Show the main job: three months of a made-up provider, from samples to explained and paid invoices.", _demo
    ),
    "up": _Entry("Run Coulance here: database, web and worker, until stopped.", _up),
    "doctor": _Entry("Say what is set, what is missing, and what to do.", _doctor),
    "check": _Entry("Check a provider file: every fault at once, each with its line.", _check),
    "plan": _Entry("Show what applying a provider file would change, and for which services.", _plan),
    "apply": _Entry("Apply a provider file: all of it, or nothing.", _apply),
    "schema": _Entry("Print the JSON Schema of a provider file, for editors.", _schema),
    "import": _Entry("Bring in customers and samples from files.", _import),
    "collect": _Entry("Read this machine's own interfaces into the sample store.", _collect),
    "collectors": _Entry(
        "Read counters from Prometheus, SNMP, LibreNMS and Proxmox: how it goes, a try, a run by hand.", _collectors
    ),
    "watch": _Entry(
        "Watch use as it happens: who nears an allowance or limit is told, and what must stop is paused.", _watch
    ),
    "overage": _Entry(
        "Look after customers' limits: quote, consent, withdraw, approve; attacks, settlements, exposure.", _overage
    ),
    "enforce": _Entry("Restrict the network of services, lift it again, and see that it was done.", _enforce),
    "usage": _Entry("Look after the samples: state, quarantine, sealing, proof that nothing is lost.", _usage),
    "bank": _Entry("Import bank statements, and decide on the payments that nobody was sure of.", _bank),
    "ledger": _Entry("Check the books, show balances, export the journal.", _ledger),
    "close": _Entry(
        "Settle a month (2026-10) and bill it: overage in arrears, base fees for the next. Ends 1 if any was parked.",
        _close,
    ),
    "send": _Entry("Mail documents: see what would go to whom, approve it, look after what did not arrive.", _send),
    "mail": _Entry("Try the mail server, send what is due, read bounces, look after addresses.", _mail),
    "advise": _Entry(
        "Say which plan is the cheapest for what a service used, or would have been instead of a bill.", _advise
    ),
    "goodwill": _Entry("Give back all or part of an overage, seeing what it costs and whom it is for.", _goodwill),
    "credit": _Entry(
        "Give a credit note on an invoice: all that is left of it, or some lines; asks before it does.", _credit
    ),
    "einvoice": _Entry(
        "Write a document as e-invoice (UBL, Peppol, CII, Factur-X); check files and documents; send over Peppol.",
        _einvoice,
    ),
    "payment": _Entry("Book money that came in or goes out, divide it over what is open, take it back.", _payment),
    "takeover": _Entry("Take over customers, balances and numbers from the system you leave.", _takeover),
    "account": _Entry("Statements of account.", _account),
    "open-items": _Entry(
        "Show what customers owe by age: not late, 1-30, 31-60, 61-90 and over 90 days, by currency.", _open_items
    ),
    "explain": _Entry(
        "Explain an invoice, or one line of it: facts, arithmetic and conventions, recomputed as they are shown.",
        _explain,
    ),
    "export": _Entry("Write out what others need: the samples and terms behind a document.", _export),
    "replay": _Entry(
        "Rate an evidence file again, without a database, and compare with its document. Ends 1 on a difference.",
        _replay,
    ),
    "operator": _Entry("Make and list the people who may sign in to the console.", _operator),
    "token": _Entry("Make, list and revoke keys to the API.", _token),
    "webhook": _Entry("Tell other programs what happens: endpoints, deliveries, replay.", _webhook),
    "secret": _Entry("Keep, list, remove and rotate secrets: mail, gateways, keys.", _secret),
    "audit": _Entry(
        "Work out again what is promised: books, samples, numbers, explanations. Ends 1 on a fault.", _audit
    ),
    "alarms": _Entry("Show what needs a person, and clear what doesn't. Ends 1 while a critical one is open.", _alarms),
    "reload": _Entry("Run web and worker anew, from what is installed now, without dropping a request.", _reload),
    "migrate": _Entry("Bring the database to this version (up does it too).", _migrate),
    "backup": _Entry("Write database and samples to one file.", _backup),
    "restore": _Entry("Bring a backup back, into a new instance.", _restore),
}


class _House(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        entry = COMMANDS.get(cmd_name)
        return entry.load() if entry else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            # click suggests from names alone; this spares it loading every command to do so.
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else " See coulance --help."
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=_House, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    help="The instance's directory (COULANCE_HOME). Default: var/coulance in a checkout, else ~/.local/share/coulance.",
)
@click.version_option(__version__, prog_name="coulance")
def cli(home: str | None) -> None:
    """Coulance: usage billing for hosting providers, with no surprises for anyone."""
    if home:
        os.environ["COULANCE_HOME"] = home


def _is_refusal(fault: BaseException) -> bool:
    # The house's errors that are written for people to read, by their names: an UnableTo... is a refusal with a reason.
    return any(
        kind.__name__.startswith("UnableTo") or kind.__name__ in {"InstanceError", "LayoutError"}
        for kind in type(fault).__mro__
    )


def main() -> None:
    """Entry point: refusals and interrupts end with one clear line and a status, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
    try:
        cli()
    except BrokenPipeError:
        # The reader (head, less) has gone; say nothing more, and keep Python from trying to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except Exception as fault:
        if not _is_refusal(fault):
            raise
        click.echo(f"Error: {fault}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
