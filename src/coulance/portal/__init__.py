"""What customers see: their services, limits, documents; and the page where a warning is answered."""
