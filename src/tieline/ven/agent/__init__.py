"""The agent at a site's loads: drivers, panel guard, local schedule, store-and-forward, a page for who lives there."""
