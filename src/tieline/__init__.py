"""Tieline: an open grid-services platform."""

__version__ = "0.1.0"
