"""Rollups: every series by steps of five minutes and an hour, made whole from raw readings, followed as they come."""
