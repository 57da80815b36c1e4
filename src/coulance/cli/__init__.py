"""The cli room: the coulance command."""
