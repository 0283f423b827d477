"""What a meter would have drawn, had it not been called: rules as declarations, and one engine that applies them.

    `rules` what a rule may say  ·  `markets` the rules of the markets  ·  `days` which days are alike
    `frame` a fleet's load around one event  ·  `fleet` whole days of many meters, cut into frames
    `engine` = `picking` (which days) → `averaging` (their usual load) → `adjusting` (to the day itself) → `result`
    `intervals` how sure  ·  `scores`, `tournament` how well each rule does on days without an event

A new market is a declaration in `markets`. Pure: arrays in, arrays out, no I/O.
"""
