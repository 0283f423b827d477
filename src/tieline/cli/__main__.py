"""`python -m tieline.cli` is `tieline`."""

from tieline.cli import main

main()
