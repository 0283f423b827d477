-- Many files into one, in order; packed afterwards by the writer of all others, a quarter smaller.
COPY (
  SELECT *
  FROM read_parquet($files, hive_partitioning = false)
  ORDER BY series_id, "at", known_at, seq
) TO $target (FORMAT parquet, COMPRESSION lz4_raw, ROW_GROUP_SIZE 122880)
