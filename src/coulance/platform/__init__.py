"""What every room stands on: the instance, its database, clock, tokens, audit and supervision."""
