"""`coulance-probe CONFIG.toml`: run the agent. `--once` looks at everything once, prints it, and hands nothing over."""

import argparse
import logging
import os
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

from coulance_probe import VERSION
from coulance_probe.agent import Agent
from coulance_probe.checks import Check, look
from coulance_probe.server import RefusedError, Server, ServerError
from coulance_probe.spool import Spool

_TEXTS = ("server", "name", "token_file", "spool")
_SECONDS = {"hand_over_s": 2.0, "retry_s": 1.0}
"""How often looks are handed over, and how soon that is tried again at first; as they are when not given."""
_KEYS = (*_TEXTS, *_SECONDS)


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns its exit status: 0, or 2 where the configuration or the token is wrong."""
    parser = argparse.ArgumentParser(prog="coulance-probe", description=__doc__)
    parser.add_argument("config", type=Path, help=f"a TOML file: {', '.join(_KEYS)}")
    parser.add_argument("--once", action="store_true", help="look once, print, hand nothing over")
    parser.add_argument("--version", action="version", version=VERSION)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        config = read_config(options.config)
        server = Server(config["server"], _token(config, options.config))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    try:
        return _once(server) if options.once else _run(config, server, options.config)
    except RefusedError as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        server.close()


def read_config(path: Path) -> dict[str, Any]:
    """The configuration. Raises `ValueError` that names the file and key."""
    try:
        found: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error
    for key in found:
        if key not in _KEYS:
            raise ValueError(f"{path}: unknown key {key!r}: expected {', '.join(_KEYS)}")
    for key in _TEXTS:
        if key in found and (not isinstance(found[key], str) or not found[key]):
            raise ValueError(f"{path}: {key} is {found[key]!r}: expected a text")
    for key in _SECONDS:
        if key in found and (type(found[key]) not in (int, float) or not 0.05 <= found[key] <= 60):
            raise ValueError(f"{path}: {key} is {found[key]!r}: expected seconds, from 0.05 to 60")
    for key in ("server", "name"):
        if key not in found:
            raise ValueError(f"{path}: {key!r} is missing")
    return found


def _token(config: dict[str, Any], path: Path) -> str:
    token = os.environ.get("COULANCE_PROBE_TOKEN", "")
    if not token and "token_file" in config:
        file = path.parent / config["token_file"]
        try:
            token = file.read_text("utf-8").strip()
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror}") from error
    if not token:
        raise ValueError(f"{path}: no token: name a token_file, or set COULANCE_PROBE_TOKEN")
    return token


def _once(server: Server) -> int:
    try:
        rows = server.checks()
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    for row in rows:
        check = Check.read(row)
        seen = look(check)
        state = "can't look" if seen.broken else "up" if seen.up else "down"
        print(f"{check.id}  {check.kind:5} {check.target}  {state}  {seen.ms} ms  {seen.why}".rstrip())
    return 0


def _run(config: dict[str, Any], server: Server, path: Path) -> int:
    spool = Spool(path.parent / config.get("spool", "coulance-probe.db"))
    agent = Agent(config["name"], server, spool, **{key: config.get(key, usual) for key, usual in _SECONDS.items()})
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    try:
        agent.run()
    finally:
        spool.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
