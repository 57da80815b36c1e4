"""What holds for a service's network: the union of who restricts it, and how the real state is brought to it."""
