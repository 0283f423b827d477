"""The ground floor: units, time, series, errors; pure, importing nothing of the house above it."""
