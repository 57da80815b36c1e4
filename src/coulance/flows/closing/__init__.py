"""Closing a month: usage settled, overage billed in arrears, base fees in advance, statements for everyone."""
