"""What a program pays, by which measurement: its terms, as data with dates of validity."""
