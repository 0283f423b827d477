-- Of every series all versions of its row with the greatest "at" in [start, end).
WITH timely AS (
  SELECT * FROM read_parquet($files, hive_partitioning = false) WHERE "at" >= $start AND "at" < $end
)
SELECT timely.* FROM timely
SEMI JOIN (SELECT series_id, max("at") AS "at" FROM timely GROUP BY series_id) USING (series_id, "at")
