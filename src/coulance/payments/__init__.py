"""The payments room: receipts, their allocation to open items, refunds, what was taken over, bank entries."""
