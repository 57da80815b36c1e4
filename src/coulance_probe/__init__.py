"""The probe agent: looks at services from another vantage point, keeps what it saw when cut off, and hands it over.

It knows nothing of Coulance's other packages and can be installed alone.
"""

VERSION = "0.1.0"
