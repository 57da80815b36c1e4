"""Services, what they are subscribed to and when, and which sample series feeds which of their meters."""
