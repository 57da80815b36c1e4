"""Readers of the systems that providers leave: WHMCS, FOSSBilling, and plain CSV; each gives the same neutral book."""
