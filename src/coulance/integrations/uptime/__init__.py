"""What other monitoring saw of services, read into looks: by the name a source has for what it watches."""
