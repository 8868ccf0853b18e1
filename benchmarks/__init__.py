"""Measurements, each a ratio to a baseline that runs beside it. `make bench` prints them; nothing here is a test."""
