"""The dashboard: serves the built front end; a customer of /v1, imports no slice."""
