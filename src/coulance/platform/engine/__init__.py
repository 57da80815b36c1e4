"""Django's PostgreSQL engine, able to follow a password that was rotated while it runs (see `base`)."""
