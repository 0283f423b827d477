"""The house against its own rules: what code, documents and files must be, checked without any server."""
