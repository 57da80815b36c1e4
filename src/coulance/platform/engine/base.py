"""The database engine of the settings: Django's own, which asks for the embedded server's password again when refused.

The password of the embedded server is rotated while web server and worker run (`coulance secret rotate`). What they
were started with is wrong from then on; the file is right.
"""

from typing import Any

import psycopg
from django.db.backends.postgresql import base

from coulance.platform import instance


class DatabaseWrapper(base.DatabaseWrapper):
    """A connection to PostgreSQL."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """As Django's; on a refused password of our own server, with the one that the secrets hold now."""
        try:
            return super().get_new_connection(conn_params)
        except psycopg.OperationalError as fault:
            here = instance.current()
            ours = here.embedded and conn_params.get("host") == str(here.database_layout().socket_dir)
            if not ours or "password authentication failed" not in str(fault):
                raise
            for password in here.database_passwords():
                if password == conn_params.get("password"):
                    continue
                try:
                    made = super().get_new_connection({**conn_params, "password": password})
                except psycopg.OperationalError:
                    continue
                self.settings_dict["PASSWORD"] = password
                return made
            raise
