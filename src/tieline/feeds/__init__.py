"""Feeds: what data servers publish, loaded into Series; for now from files at hand."""
