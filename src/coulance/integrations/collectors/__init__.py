"""Collectors that ask: Prometheus, SNMP devices, LibreNMS, Proxmox VE; and the runner that asks them in time."""
