-- Every version of the rows of some series in [start, end) known at as_of, in no order, at most $most of them.
SELECT *
FROM read_parquet($files, hive_partitioning = false)
WHERE series_id IN (SELECT unnest($series_ids))
  AND "at" >= $start AND "at" < $end AND known_at <= $as_of
LIMIT $most
