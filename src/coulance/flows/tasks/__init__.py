"""Jobs that cross rooms, one module a topic; the worker imports them by PROCRASTINATE_IMPORT_PATHS in the settings.

Like every task they read the clock and pass it on. A new module is listed there, or the worker knows none of its jobs.
"""
