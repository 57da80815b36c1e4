"""Service contracts at work: fees and hours billed, leave asked, cards warned of, promises kept, fairness shown."""
