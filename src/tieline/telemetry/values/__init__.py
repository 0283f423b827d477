"""Values of series for whoever asks: raw, by step, thinned for a chart, newest, summed by group, live; any format."""
