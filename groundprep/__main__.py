"""`python -m groundprep`."""

from groundprep.cli import main

main()
