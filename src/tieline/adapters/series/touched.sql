-- The steps of so many microseconds since 1970 in which each series has rows.
SELECT DISTINCT series_id, epoch_us("at") - (epoch_us("at") % $step + $step) % $step AS "at"
FROM read_parquet($files, hive_partitioning = false)
LIMIT $most
