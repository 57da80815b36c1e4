"""Closing a month, end to end: facts go in through the rooms' own operations, and documents come out."""
