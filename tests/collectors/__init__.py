"""Tests of collectors: what comes in from Prometheus, SNMP devices, LibreNMS and Proxmox."""
