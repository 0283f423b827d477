"""What the fleet drew, could give up and gave up, by steps of five minutes: kept as it happens, made again from raw."""
