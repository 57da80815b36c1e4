"""A made-up provider for the demo: customers, services, and traffic that looks like the real thing."""
