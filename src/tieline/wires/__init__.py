"""Other machines' words: types and parsers without any I/O; the version is in the folder's name where there is one."""
