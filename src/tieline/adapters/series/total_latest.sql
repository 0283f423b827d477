-- The same where an instant may come twice in some windows, from other files or from what is held.
WITH single AS (
  SELECT "at", COLUMNS($columns)
  FROM read_parquet($files, hive_partitioning = false)
  WHERE series_id IN (SELECT unnest($series_ids)) AND "at" >= $start AND "at" < $end
    AND NOT ("at" BETWEEN $from_0 AND $to_0 OR "at" BETWEEN $from_1 AND $to_1
          OR "at" BETWEEN $from_2 AND $to_2 OR "at" BETWEEN $from_3 AND $to_3)
), latest AS (
  SELECT "at", arg_max(COLUMNS($columns), {'known_at': known_at, 'seq': seq, 'rest': versions}) AS "\0"
  FROM (SELECT * FROM read_parquet($within, hive_partitioning = false) UNION ALL SELECT * FROM held) AS versions
  WHERE series_id IN (SELECT unnest($series_ids)) AND "at" >= $start AND "at" < $end
    AND ("at" BETWEEN $from_0 AND $to_0 OR "at" BETWEEN $from_1 AND $to_1
      OR "at" BETWEEN $from_2 AND $to_2 OR "at" BETWEEN $from_3 AND $to_3)
  GROUP BY series_id, "at"
)
SELECT epoch_us("at") - (epoch_us("at") - epoch_us($start)) % $step AS "at",
       count(*) AS count, sum(COLUMNS($columns)) AS "sum_\0"
FROM (SELECT * FROM single UNION ALL SELECT * FROM latest) GROUP BY 1 ORDER BY 1
