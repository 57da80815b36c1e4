"""The `coulance` command.

Its sub-commands are listed here with their one line of help, and imported only when one is asked for: `coulance --help`
and shell completion must not wait for Django. To add one, write its module and a line in `COMMANDS`; a test holds that
the line there is the line of the command itself.
"""

import os
import pkgutil
import sys
from collections.abc import Callable
from typing import NamedTuple

import click

from coulance import __version__


class _Entry(NamedTuple):
    at: str
    """module:command, below coulance.cli"""
    help: str

    def load(self) -> click.Command:
        # By name, which only this table may: every module named in it is of this room, so no arrow of the house hides.
        found = pkgutil.resolve_name(f"{__package__}.{self.at}")
        assert isinstance(found, click.Command)
        return found


# In the order in which a person meets them.
COMMANDS: dict[str, _Entry] = {
    "demo": _Entry(
        "demo:demo",
        "Show the main job: three months of a made-up provider, from samples to explained and paid invoices.",
    ),
    "up": _Entry("up:up", "Run Coulance here: database, web and worker, until stopped."),
    "doctor": _Entry("doctor:doctor", "Say what is set, what is missing, and what to do."),
    "check": _Entry("catalog:check", "Check a provider file: every fault at once, each with its line."),
    "plan": _Entry("catalog:plan", "Show what applying a provider file would change, and for which services."),
    "apply": _Entry("catalog:apply", "Apply a provider file: all of it, or nothing."),
    "schema": _Entry("catalog:schema", "Print the JSON Schema of a provider file, for editors."),
    "import": _Entry("imports:import_", "Bring in customers and samples from files."),
    "collect": _Entry("usage:collect", "Read this machine's own interfaces into the sample store."),
    "collectors": _Entry(
        "collectors:collectors",
        "Read counters from Prometheus, SNMP, LibreNMS and Proxmox: how it goes, a try, a run by hand.",
    ),
    "watch": _Entry(
        "watch:watch", "Watch use as it happens: who nears an allowance or limit is told, and what must stop is paused."
    ),
    "overage": _Entry(
        "overage:overage",
        "Look after customers' limits: quote, consent, withdraw, approve; attacks, settlements, exposure.",
    ),
    "enforce": _Entry("enforce:enforce", "Restrict the network of services, lift it again, and see that it was done."),
    "usage": _Entry("usage:usage", "Look after the samples: state, quarantine, sealing, proof that nothing is lost."),
    "bank": _Entry("bank:bank", "Import bank statements, and decide on the payments that nobody was sure of."),
    "debit": _Entry(
        "debit:debit",
        "Collect by SEPA direct debit: mandates, what is planned, files for the bank, what came back.",
    ),
    "payback": _Entry(
        "payback:payback",
        "Pay back: what is asked, who approves it, the file for the bank.",
    ),
    "gateway": _Entry(
        "gateway:gateway",
        "Look after payments at Stripe and Mollie: events, refunds, payouts; charges by agreement.",
    ),
    "ledger": _Entry("ledger:ledger", "Check the books, show balances, export the journal."),
    "close": _Entry(
        "close:close",
        "Settle a month (2026-10) and bill it: overage in arrears, base fees for the next. Ends 1 if any was parked.",
    ),
    "send": _Entry(
        "send:send", "Mail documents: see what would go to whom, approve it, look after what did not arrive."
    ),
    "mail": _Entry("mail:mail", "Try the mail server, send what is due, read bounces, look after addresses."),
    "advise": _Entry(
        "advise:advise", "Say which plan is the cheapest for what a service used, or would have been instead of a bill."
    ),
    "goodwill": _Entry(
        "goodwill:goodwill", "Give back all or part of an overage, seeing what it costs and whom it is for."
    ),
    "dispute": _Entry(
        "dispute:dispute",
        "Work contested bills: only what is contested is held; the rest stays to be paid.",
    ),
    "terms": _Entry(
        "terms:terms", "Keep the general terms by version, and who agreed to which, chained; what the portal shows."
    ),
    "sla": _Entry(
        "sla:sla", "Keep promises of uptime: checks and agents, outages, maintenance, credits; what terms would cost."
    ),
    "arrears": _Entry(
        "arrears:arrears",
        "Look after debts that are late: steps with notice, a way out and a backup; promises, plans, approvals.",
    ),
    "contract": _Entry(
        "contract:contract", "Look after service contracts: hour cards, retainers, work, leave, fairness."
    ),
    "ticket": _Entry(
        "ticket:ticket", "Look after promises of response: tickets, their clocks, what is about to break."
    ),
    "credit": _Entry(
        "credit:credit", "Give a credit note on an invoice: all that is left of it, or some lines; asks before it does."
    ),
    "debit-note": _Entry(
        "debit_note:debit_note",
        "Take credit note NUMBER back whole, by a debit note that names it; asks before it does.",
    ),
    "einvoice": _Entry(
        "einvoice:einvoice",
        "Write a document as e-invoice (UBL, Peppol, CII, Factur-X); check files and documents; send over Peppol.",
    ),
    "payment": _Entry(
        "payment:payment", "Book money that came in or goes out, divide it over what is open, take it back."
    ),
    "price": _Entry(
        "price:price",
        "Agree a base fee for one service, in place of its plan's, and take it back. Plans stay as they are.",
    ),
    "takeover": _Entry("takeover:takeover", "Take over customers, balances and numbers from the system you leave."),
    "account": _Entry("account:account", "Statements of account; contacts who lost their password or telephone."),
    "open-items": _Entry(
        "account:open_items",
        "Show what customers owe by age: not late, 1-30, 31-60, 61-90 and over 90 days, by currency.",
    ),
    "explain": _Entry(
        "evidence:explain",
        "Explain an invoice, or one line of it: facts, arithmetic and conventions, recomputed as they are shown.",
    ),
    "export": _Entry("evidence:export", "Write out what others need: the samples and terms behind a document."),
    "dossier": _Entry(
        "dossier:dossier",
        "Write the dossier of a claim on ACCOUNT to FILE.pdf, with all it rests on and a program to check it.",
    ),
    "hand-over": _Entry(
        "dossier:hand_over",
        "Write what a collector or mediator needs to FILE.zip: tables, e-invoices, the dossier. Sends nothing.",
    ),
    "replay": _Entry(
        "evidence:replay",
        "Rate an evidence file again, without a database, and compare with its document. Ends 1 on a difference.",
    ),
    "operator": _Entry("operator:operator", "Make and list the people who may sign in to the console."),
    "token": _Entry("token:token", "Make, list and revoke keys to the API."),
    "webhook": _Entry("webhook:webhook", "Tell other programs what happens: endpoints, deliveries, replay."),
    "secret": _Entry("secret:secret", "Keep, list, remove and rotate secrets: mail, gateways, keys."),
    "audit": _Entry(
        "audit:audit", "Work out again what is promised: books, samples, numbers, explanations. Ends 1 on a fault."
    ),
    "alarms": _Entry(
        "alarms:alarms", "Show what needs a person, and clear what doesn't. Ends 1 while a critical one is open."
    ),
    "reload": _Entry(
        "reload:reload", "Run web and worker anew, from what is installed now, without dropping a request."
    ),
    "migrate": _Entry("migrate:migrate", "Bring the database to this version (up does it too)."),
    "service-backup": _Entry(
        "service_backup:service_backup", "Back customers' services up, verify that, and look whether it is still there."
    ),
    "backup": _Entry("backup:backup", "Write database and samples to one file."),
    "restore": _Entry("backup:restore", "Bring a backup back, into a new instance."),
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


def main(run: Callable[[], object] = cli) -> None:
    """Entry point: refusals and interrupts end with one clear line and a status, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
    try:
        run()
    except BrokenPipeError:
        # The reader (head, less) has gone; say nothing more, and keep Python from trying to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except click.ClickException as fault:  # of a part of up; of a command, click has shown it already
        fault.show()
        sys.exit(fault.exit_code)
    except Exception as fault:
        if not _is_refusal(fault):
            raise
        click.echo(f"Error: {fault}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
