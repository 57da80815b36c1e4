"""Jobs that talk to the world outside, one module a topic; the worker imports them by PROCRASTINATE_IMPORT_PATHS.

Like every task they read the clock and pass it on. A new module is listed in the settings, or the worker knows none of
its jobs.
"""
