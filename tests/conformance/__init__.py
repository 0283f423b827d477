"""The specification, clause by clause: a running VTN held against OpenADR 3.1.0 and 3.0.1, and against its clients."""
