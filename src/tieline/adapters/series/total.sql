-- Sums of some columns and count of rows over some series by steps of so many microseconds, of files where no instant comes twice.
SELECT epoch_us("at") - (epoch_us("at") - epoch_us($start)) % $step AS "at",
       count(*) AS count, sum(COLUMNS($columns)) AS "sum_\0"
FROM read_parquet($files, hive_partitioning = false)
WHERE series_id IN (SELECT unnest($series_ids)) AND "at" >= $start AND "at" < $end
GROUP BY 1 ORDER BY 1
