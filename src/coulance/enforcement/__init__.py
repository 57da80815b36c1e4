"""The register of restrictions, and bringing each service's network to what it says."""
