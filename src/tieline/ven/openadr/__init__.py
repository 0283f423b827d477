"""OpenADR 3.1 as a VEN speaks it: the client of a VTN, and the agent that watches one, remembers and reports."""
