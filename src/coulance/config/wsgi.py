"""The WSGI application that the web server runs."""

import os

from django.core.wsgi import get_wsgi_application

from coulance.platform.web_server import worker_ready, worker_started

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coulance.config.settings")
if os.environ.get("COULANCE_SUPERVISED") == "1":
    worker_started()

application = get_wsgi_application()

if os.environ.get("COULANCE_SUPERVISED") == "1":
    worker_ready()
