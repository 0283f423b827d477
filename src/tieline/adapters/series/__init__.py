"""Series on Delta Lake tables, in a folder or on an S3 API, read by DuckDB."""

from tieline.adapters.series.delta import DeltaSeries
from tieline.adapters.series.engine import Limits

__all__ = ["DeltaSeries", "Limits"]
