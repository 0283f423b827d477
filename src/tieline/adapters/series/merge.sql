-- Many files into one, in order.
COPY (
  SELECT series_id, "at", value, flags, known_at, seq
  FROM read_parquet($files, hive_partitioning = false)
  ORDER BY series_id, "at", known_at, seq
) TO $target (FORMAT parquet, COMPRESSION zstd, PARQUET_VERSION v2, ROW_GROUP_SIZE 122880)
