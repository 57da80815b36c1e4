"""Sending documents to people: what would go to whom, approving it, the words, and what came back."""
