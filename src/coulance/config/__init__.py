"""Settings, addresses and the WSGI entry: the only room that knows every other. Nothing imports it."""
