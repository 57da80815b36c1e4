"""The sla room: evidence of uptime, what is agreed, what was credited."""
