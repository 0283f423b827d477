"""Who may: the credentials of devices, and what each may say and hear."""
