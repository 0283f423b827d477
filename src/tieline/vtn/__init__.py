"""The OpenADR gateway (VTN): programs, events, reports, subscriptions, VENs and resources as OpenADR 3 sees them."""
