"""Who may: the credentials of devices, OAuth2 clients and their tokens, and what each may say and hear."""
