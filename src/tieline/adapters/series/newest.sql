-- Of every series its row with the greatest (at, known_at, seq) in [start, end).
SELECT series_id, unnest(newest) FROM (
  SELECT series_id,
         arg_max({'at': "at", 'value': value, 'flags': flags, 'known_at': known_at, 'seq': seq},
                 {'a': "at", 'k': known_at, 's': seq, 'v': value, 'f': flags}) AS newest
  FROM read_parquet($files, hive_partitioning = false)
  WHERE "at" >= $start AND "at" < $end
  GROUP BY series_id)
